//! Where the last lines of a log file begin, found from its end.

use std::io::{self, Read, Seek, SeekFrom};

use super::entry::Entry;

const BLOCK: u64 = 64 * 1024;

/// Where to read on to get the last `count` lines of a file of `length` bytes. An entry that does not end its line is no line of its own; what
/// is not ended by a line feed is.
pub(super) fn tail_start(file: &mut (impl Read + Seek), length: u64, count: usize) -> io::Result<u64> {
    if count == 0 {
        return Ok(length);
    }
    let mut left = count;
    // What was read of the entry that begins before the block.
    let mut rest: Vec<u8> = Vec::new();
    // Where the entry after that one begins.
    let mut next = length;
    let mut end = length;
    while end > 0 {
        let start = end.saturating_sub(BLOCK);
        let mut block = vec![0; usize::try_from(end - start).unwrap_or_default()];
        file.seek(SeekFrom::Start(start))?;
        file.read_exact(&mut block)?;
        block.append(&mut rest);
        let mut stop = block.len();
        // The entry that ends at `stop` begins after the line feed before that; it is known when that is found.
        while let Some(feed) = block[..stop].iter().rposition(|&byte| byte == b'\n') {
            let begin = feed + 1;
            let entry = &block[begin..stop];
            if is_line(entry) {
                if left == 0 {
                    return Ok(next);
                }
                left -= 1;
            }
            if !entry.is_empty() {
                next = start + begin as u64;
            }
            stop = feed;
        }
        block.truncate(stop);
        rest = block;
        end = start;
    }
    Ok(if left == 0 && is_line(&rest) { next } else { 0 })
}

fn is_line(entry: &[u8]) -> bool {
    Entry::parse(entry).is_some_and(|entry| entry.is_end)
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    fn tail(entries: &[String], count: usize) -> Vec<String> {
        let text: String = entries.iter().map(|entry| format!("{entry}\n")).collect();
        let start = tail_start(&mut Cursor::new(text.as_bytes()), text.len() as u64, count).unwrap();
        text[start as usize..].lines().map(|line| line.rsplit(' ').next().unwrap().to_owned()).collect()
    }

    fn entry(tag: &str, content: &str) -> String {
        format!("2020-01-01T00:00:00Z stdout {tag} {content}")
    }

    #[test]
    fn the_last_lines_are_found_with_all_their_pieces() {
        let entries = [entry("F", "one"), entry("P", "tw"), entry("F", "o"), entry("F", "three")];
        assert_eq!(tail(&entries, 0), [""; 0]);
        assert_eq!(tail(&entries, 1), ["three"]);
        assert_eq!(tail(&entries, 2), ["tw", "o", "three"]);
        assert_eq!(tail(&entries, 3), ["one", "tw", "o", "three"]);
        assert_eq!(tail(&entries, 9), ["one", "tw", "o", "three"]);
        assert_eq!(tail(&[], 2), [""; 0]);
    }

    #[test]
    fn lines_longer_than_what_is_read_at_once_are_found() {
        let entries: Vec<String> = ["a", "b", "c"].map(|letter| entry("F", &letter.repeat(BLOCK as usize + 7))).into();
        assert_eq!(tail(&entries, 2).iter().map(|line| &line[..1]).collect::<Vec<_>>(), ["b", "c"]);
        let many: Vec<String> = (0..10_000).map(|number| entry("F", &number.to_string())).collect();
        assert_eq!(tail(&many, 3), ["9997", "9998", "9999"]);
        assert_eq!(tail(&many, 9_999)[0], "1");
    }
}
