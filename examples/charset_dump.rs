//! Decodes texts as mailtrail does, to compare with others (`tests/charsets.py`): a JSON list of label and base64 a line
//! comes in, the text as a JSON string goes out.

use std::io::{BufRead, Write};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use mailtrail::ingest::charset::Charset;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut output = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        let (label, encoded): (String, String) = serde_json::from_str(&line?)?;
        let charset = Charset::find(&label).ok_or("an unknown character set")?;
        let text = charset.decode(&STANDARD.decode(encoded)?, 100).ok_or("a long text")?;
        writeln!(output, "{}", serde_json::to_string(&text)?)?;
    }
    Ok(())
}
