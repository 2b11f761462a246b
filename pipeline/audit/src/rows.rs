//! Lines as rows: objects of named fields, whatever the form of the log. The form is known by the first line.

use csv::{ReaderBuilder, StringRecord};
use serde_json::{Map, Value};

use crate::combined;

/// The form of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// One JSON object a line.
    Json,
    /// A header, and a row a line. A field cannot have a line break in it.
    Csv,
    /// The combined form of access logs.
    Combined,
}

impl Form {
    /// The form of a log that begins with this line.
    #[must_use]
    pub fn of(line: &str) -> Self {
        if line.trim_start().starts_with('{') {
            Self::Json
        } else if combined::is_like(line) {
            Self::Combined
        } else {
            Self::Csv
        }
    }
}

/// Makes rows of one log's lines.
#[derive(Debug)]
pub(crate) struct Rows {
    form: Form,
    /// The names of columns.
    header: Vec<String>,
    delimiter: u8,
}

impl Rows {
    /// For a log that begins with `first`.
    pub(crate) fn new(form: Form, first: &str) -> Self {
        if form != Form::Csv {
            return Self { form, header: Vec::new(), delimiter: b',' };
        }
        let count = |delimiter: &u8| first.bytes().filter(|byte| byte == delimiter).count();
        // The last of equals: the comma, where there is but one column.
        let delimiter = [b'\t', b';', b','].into_iter().max_by_key(count).unwrap_or(b',');
        let header = csv_record(first, delimiter)
            .map(|record| record.iter().map(|name| name.trim().to_owned()).collect());
        Self { form, header: header.unwrap_or_default(), delimiter }
    }

    /// The names of columns, if the first line is no row but these.
    pub(crate) fn header(&self) -> Option<&[String]> {
        (self.form == Form::Csv).then_some(&*self.header)
    }

    /// A line as a row, or why it is none.
    pub(crate) fn row(&self, line: &str) -> Result<Value, String> {
        let mut row = match self.form {
            Form::Combined => return combined::row(line),
            Form::Csv => self.csv_row(line)?,
            Form::Json => match serde_json::from_str(line) {
                Ok(Value::Object(row)) => row,
                Ok(_) => return Err("it is JSON, but no object".to_owned()),
                Err(error) => return Err(format!("it is not JSON: {error}")),
            },
        };
        // As nginx and others name it; what the log has under these names itself counts more.
        if !row.contains_key("path")
            && let Some(Value::String(request)) = row.get("request").or_else(|| row.get("request_uri"))
        {
            let request = request.clone();
            combined::add_request(&mut row, &request);
        }
        Ok(Value::Object(row))
    }

    fn csv_row(&self, line: &str) -> Result<Map<String, Value>, String> {
        let record = csv_record(line, self.delimiter)?;
        if record.len() != self.header.len() {
            return Err(format!("it has {} fields, and the header has {}", record.len(), self.header.len()));
        }
        let fields = self.header.iter().zip(&record);
        Ok(fields.map(|(name, field)| (name.clone(), Value::String(field.to_owned()))).collect())
    }
}

fn csv_record(line: &str, delimiter: u8) -> Result<StringRecord, String> {
    let mut reader = ReaderBuilder::new();
    reader.has_headers(false).flexible(true).delimiter(delimiter).buffer_capacity(line.len() + 1);
    let mut record = StringRecord::new();
    match reader.from_reader(line.as_bytes()).read_record(&mut record) {
        Ok(true) => Ok(record),
        Ok(false) => Err("it is empty".to_owned()),
        Err(error) => Err(format!("it is not CSV: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_form_is_known_by_the_first_line() {
        assert_eq!(Form::of(r#" {"a":1}"#), Form::Json);
        assert_eq!(
            Form::of(r#"::1 - - [05/Jan/2026:01:02:03 +0000] "POST / HTTP/1.1" 204 -"#),
            Form::Combined
        );
        assert_eq!(Form::of("time,broker"), Form::Csv);
    }

    #[test]
    fn a_row_of_csv_has_the_headers_names() {
        for (header, line) in [
            ("eventId, note", r#"e-1,"a, ""b""""#),
            ("eventId;note", r#"e-1;"a, ""b""""#),
            ("eventId\tnote", "e-1\ta, \"b\""),
        ] {
            let rows = Rows::new(Form::of(header), header);
            assert_eq!(rows.row(line), Ok(json!({"eventId": "e-1", "note": "a, \"b\""})), "{header}");
        }
        let rows = Rows::new(Form::Csv, "a,b");
        assert_eq!(rows.row("1,2,3").unwrap_err(), "it has 3 fields, and the header has 2");
    }

    #[test]
    fn a_row_of_json_is_its_object_and_its_request_is_taken_apart() {
        let rows = Rows::new(Form::Json, "");
        let row = rows.row(r#"{"request":"POST /hooks/e-1 HTTP/1.1","status":200}"#).unwrap();
        assert_eq!((&row["segments"], &row["method"]), (&json!(["hooks", "e-1"]), &json!("POST")));
        assert!(rows.row("[1]").is_err() && rows.row("{\"a\":").is_err());
    }
}
