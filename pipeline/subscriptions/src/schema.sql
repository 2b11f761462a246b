-- Loadline's default schema, version 1. It may be applied again: what is there stays.

create table if not exists loadline_schema (
    version integer primary key,
    applied_at timestamptz not null default now()
);

create table if not exists brokers (
    id text primary key check (id ~ '^[a-z0-9_-]{1,64}$'),
    webhook_url text not null,
    -- References to signing keys, the newest first, such as {env:LOADLINE_BROKER_ACME}. Never a key itself.
    secret_refs text[] not null,
    -- Attempts a second.
    rate double precision not null,
    -- A broker is switched off, not deleted: deliveries that wait name it.
    active boolean not null default true,
    -- More keys of [[brokers]], such as {"timeout": "5s", "concurrency": 4}.
    settings jsonb not null default '{}',
    -- The transaction that wrote the row last, kept by the trigger below.
    xid xid8 not null default pg_current_xact_id()
);

create index if not exists brokers_xid on brokers (xid);

create or replace function loadline_touch() returns trigger language plpgsql as $$
begin
    new.xid := pg_current_xact_id();
    return new;
end
$$;

drop trigger if exists brokers_touch on brokers;
create trigger brokers_touch before insert or update on brokers
    for each row execute function loadline_touch();

create table if not exists broker_subscriptions (
    id bigint generated always as identity primary key,
    load_id text not null,
    broker_id text not null references brokers (id),
    -- The statuses it wants; null for all.
    statuses text[],
    active boolean not null default true,
    created_at timestamptz not null default now(),
    unique (load_id, broker_id)
);

create index if not exists broker_subscriptions_load
    on broker_subscriptions (load_id) include (id, broker_id, statuses) where active;
create index if not exists broker_subscriptions_broker on broker_subscriptions (broker_id);

insert into loadline_schema (version) values (1) on conflict do nothing;
