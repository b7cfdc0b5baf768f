//! Frames of a line protocol, read strictly: from bytes that are all there.

/// The frames up to the end of the bytes, or up to the first that ends the connection: over the limit (its end
/// included) or with a NUL. A last one without its end is none.
pub(crate) fn frames<'b>(bytes: &'b [u8], end: &[u8], limit: usize) -> Vec<&'b [u8]> {
    let (mut frames, mut rest) = (Vec::new(), bytes);
    while let Some(at) = rest.windows(end.len()).position(|window| window == end) {
        let frame = &rest[..at];
        if at + end.len() > limit || frame.contains(&0) {
            break;
        }
        frames.push(frame);
        rest = &rest[at + end.len()..];
    }
    frames
}
