// Says the values under the pointer. The page is whole without it.
for (const chart of document.querySelectorAll('.chart')) {
  const { end, bottom, top, log, unit } = chart.dataset;
  const lines = [...chart.querySelectorAll('path[data-name]')].map(path => ({
    name: path.dataset.name,
    points: [...path.getAttribute('d').matchAll(/[ML]([\d.]+) ([\d.]+)/g)].map(point => [+point[1], +point[2]]),
  }));
  const value = y => {
    const place = 1 - y / 200;
    return log === 'true' ? bottom * (top / bottom) ** place : top * place;
  };
  const round = number => Number(number.toPrecision(3)).toLocaleString('en');
  const time = ms => ms < 1000 ? `${round(ms)} ms` : `${round(ms / 1000)} s`;
  const said = number => unit === 'ms' ? time(number) : `${round(number)} ${unit}`;
  const cursor = document.createElementNS('http://www.w3.org/2000/svg', 'line');
  cursor.setAttribute('class', 'cursor');
  cursor.setAttribute('y2', '100%');
  const tip = document.createElement('div');
  tip.className = 'tip';
  const leave = () => { cursor.remove(); tip.remove(); };
  chart.addEventListener('pointerleave', leave);
  chart.addEventListener('pointermove', event => {
    const field = chart.getBoundingClientRect();
    const place = (event.clientX - field.left) / field.width;
    if (place < 0 || place > 1) return leave();
    cursor.setAttribute('x1', `${place * 100}%`);
    cursor.setAttribute('x2', `${place * 100}%`);
    tip.replaceChildren(`at ${time(place * end)}`);
    for (const { name, points } of lines) {
      const near = points.reduce((a, b) => Math.abs(b[0] - place * 1000) < Math.abs(a[0] - place * 1000) ? b : a);
      const row = document.createElement('div');
      // a line that has ended here, or has a gap, says nothing
      if (Math.abs(near[0] - place * 1000) > 15) continue;
      row.textContent = `${name}: ${said(value(near[1]))}`;
      tip.append(row);
    }
    chart.append(cursor);
    const figure = chart.parentElement;
    figure.append(tip);
    const left = event.clientX - figure.getBoundingClientRect().left;
    tip.style.left = `${Math.max(0, Math.min(left + 14, figure.clientWidth - tip.offsetWidth))}px`;
    tip.style.top = `${event.clientY - figure.getBoundingClientRect().top + 18}px`;
  });
}
