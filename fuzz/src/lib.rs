//! Shared parts of the fuzz targets: choices from bytes, JSON.

/// Returns a source of numbers below a bound, one from each byte (or two, for bounds above 256), until the bytes are used up.
pub fn choices(data: &[u8]) -> impl FnMut(usize) -> Option<usize> + '_ {
    let mut bytes = data.iter().copied().map(usize::from);
    move |bound| {
        let low = bytes.next()?;
        let number = if bound > 256 { low << 8 | bytes.next()? } else { low };
        Some(number % bound)
    }
}

/// Returns the JSON of a value that can always be written.
pub fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}
