//! What the fuzz targets share: choices out of bytes.

/// Each byte (two where one has not enough room) is a choice; the run is over when they are used up.
pub fn choices(data: &[u8]) -> impl FnMut(usize) -> Option<usize> + '_ {
    let mut bytes = data.iter().copied().map(usize::from);
    move |bound| {
        let low = bytes.next()?;
        let number = if bound > 256 { low << 8 | bytes.next()? } else { low };
        Some(number % bound)
    }
}

/// A value that can always be written, as JSON.
pub fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}
