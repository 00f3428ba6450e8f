//! Fixed-size binary values as base64url text without padding (RFC 4648, 5). Must not know what the values are.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// Writes bytes as text.
pub(super) fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Reads exactly `N` bytes. Each value has one text only: anything else than what [`encode`] writes is `None`.
pub(super) fn decode<const N: usize>(text: &str) -> Option<[u8; N]> {
    if text.len() != (N * 4).div_ceil(3) {
        return None;
    }
    URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_value_has_one_text() {
        assert_eq!(decode(&encode(&[0xfb; 16])), Some([0xfb; 16]));
        let text = encode(&[0; 32]);
        assert_eq!((text.len(), decode::<32>(&text)), (43, Some([0; 32])));
        for bad in
            ["", &text[1..], &format!("{text}="), &format!("{}B", &text[..42]), &format!("+{}", &text[1..])]
        {
            assert_eq!(decode::<32>(bad), None, "{bad}");
        }
    }
}
