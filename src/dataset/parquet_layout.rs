//! Checks what a parquet file declares against the file itself, before the reader allocates by it.
//!
//! The reader trusts the lengths in the footer and in page headers: sizes of decompressed pages, entries of
//! dictionaries, children of a schema's groups, and how deep they nest. All of them are written in Thrift's
//! compact protocol (<https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md>),
//! which is parsed here.

/// Maximum bytes of a decompressed page; writers aim at one MiB.
const MAX_PAGE: u64 = 256 << 20;
const MAX_SCHEMA: usize = 10_000;
const MAX_DEPTH: usize = 32;

/// The contents of all pages of a column chunk.
#[derive(Debug, Default)]
pub struct Pages {
    /// Values, nulls included.
    pub values: u64,
    /// Most bytes that are held of it at once: a page, its values copied into a row, and the dictionary with its entries.
    pub open: u64,
}

/// Bytes of an entry of a dictionary.
const ENTRY: u64 = 40;

/// Checks the schema in the footer of the file `bytes`.
pub fn check_footer(bytes: &[u8]) -> Result<(), String> {
    let Some((rest, tail)) = bytes.split_last_chunk::<8>() else { return Ok(()) };
    let [a, b, c, d, magic @ ..] = *tail;
    let length = u32::from_le_bytes([a, b, c, d]) as usize;
    // The reader's own error for a file that is not parquet at all is better.
    if magic != *b"PAR1" || length > rest.len() {
        return Ok(());
    }
    let mut thrift = Thrift { bytes: &rest[rest.len() - length..], at: 0 };
    let mut schema = Vec::new();
    let fields = thrift.fields(|thrift, id, kind| match (id, kind) {
        (2, LIST) => {
            let (count, element) = thrift.list()?;
            if element != STRUCT || count > MAX_SCHEMA {
                return None;
            }
            for _ in 0..count {
                let mut children = 0;
                thrift.fields(|thrift, id, kind| match (id, kind) {
                    (5, I32) => thrift.signed().map(|n| children = n),
                    _ => thrift.skip(kind, 0),
                })?;
                schema.push(usize::try_from(children).ok()?);
            }
            Some(())
        }
        _ => thrift.skip(kind, 0),
    });
    fields.ok_or_else(|| format!("the footer of {length} bytes is not as the format says"))?;
    check_tree(&schema)
}

/// Checks the counts of children. A group comes before its children and holds their count.
fn check_tree(schema: &[usize]) -> Result<(), String> {
    let mut open: Vec<usize> = Vec::new();
    for (at, &children) in schema.iter().enumerate() {
        if children >= schema.len() - at {
            return Err(format!("the schema declares {children} children, {} follow", schema.len() - at - 1));
        }
        while open.last() == Some(&0) {
            open.pop();
        }
        if let Some(left) = open.last_mut() {
            *left -= 1;
        }
        if children > 0 {
            open.push(children);
        }
        if open.len() > MAX_DEPTH {
            return Err(format!("the schema nests deeper than {MAX_DEPTH}"));
        }
    }
    Ok(())
}

/// Checks the headers of all pages of a column chunk.
pub fn check_pages(chunk: &[u8]) -> Result<Pages, String> {
    let mut pages = Pages::default();
    let mut thrift = Thrift { bytes: chunk, at: 0 };
    let (mut largest, mut dictionary) = (0, 0);
    while thrift.at < chunk.len() {
        let header = thrift.at;
        let page = thrift.page_header();
        let page = page.ok_or_else(|| format!("the page header at byte {header} of a column is damaged"))?;
        if page.size > MAX_PAGE {
            return Err(format!("a page of {} bytes, expected at most {MAX_PAGE}", page.size));
        }
        let left = chunk.len() - thrift.at;
        if page.stored > left as u64 {
            return Err(format!("a page of {} bytes, the column has {left} left", page.stored));
        }
        // An entry of a dictionary takes at least a byte.
        if page.entries > page.size {
            return Err(format!("a dictionary of {} entries in {} bytes", page.entries, page.size));
        }
        pages.values += page.values;
        largest = largest.max(page.size);
        dictionary = dictionary.max(page.entries * ENTRY);
        thrift.at += page.stored as usize;
    }
    pages.open = 2 * largest + dictionary;
    Ok(pages)
}

#[derive(Default)]
struct PageHeader {
    size: u64,
    stored: u64,
    values: u64,
    /// Of a dictionary.
    entries: u64,
}

const I32: u8 = 5;
const LIST: u8 = 9;
const STRUCT: u8 = 12;

struct Thrift<'a> {
    bytes: &'a [u8],
    at: usize,
}

/// The methods return `None` if the bytes end too soon or nest too deep.
impl Thrift<'_> {
    fn byte(&mut self) -> Option<u8> {
        let byte = *self.bytes.get(self.at)?;
        self.at += 1;
        Some(byte)
    }

    fn unsigned(&mut self) -> Option<u64> {
        let mut number = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }

    fn signed(&mut self) -> Option<i64> {
        self.unsigned().map(|n| (n >> 1) as i64 ^ -((n & 1) as i64))
    }

    fn pass(&mut self, count: u64) -> Option<()> {
        let left = (self.bytes.len() - self.at) as u64;
        (count <= left).then(|| self.at += count as usize)
    }

    /// A list's length and the type of its elements, each of which takes at least a byte.
    fn list(&mut self) -> Option<(usize, u8)> {
        let head = self.byte()?;
        let count = if head >> 4 == 15 { self.unsigned()? } else { u64::from(head >> 4) };
        let left = self.bytes.len() - self.at;
        (count <= left as u64).then_some((count as usize, head & 15))
    }

    /// Walks the fields of a struct. `read` gets the number and the type of each, and must read its value.
    fn fields(&mut self, mut read: impl FnMut(&mut Self, i64, u8) -> Option<()>) -> Option<()> {
        let mut id = 0i64;
        loop {
            let head = self.byte()?;
            if head & 15 == 0 {
                return Some(());
            }
            id = if head >> 4 == 0 { self.signed()? } else { id.checked_add(i64::from(head >> 4))? };
            read(self, id, head & 15)?;
        }
    }

    fn skip(&mut self, kind: u8, depth: usize) -> Option<()> {
        if depth > MAX_DEPTH {
            return None;
        }
        match kind {
            1 | 2 => Some(()),
            3 => self.pass(1),
            4..=6 => self.unsigned().map(drop),
            7 => self.pass(8),
            8 => {
                let length = self.unsigned()?;
                self.pass(length)
            }
            LIST | 10 => {
                let (count, element) = self.list()?;
                for _ in 0..count {
                    self.skip_element(element, depth + 1)?;
                }
                Some(())
            }
            11 => {
                let count = self.unsigned()?;
                if count == 0 {
                    return Some(());
                }
                let kinds = self.byte()?;
                for _ in 0..count {
                    self.skip_element(kinds >> 4, depth + 1)?;
                    self.skip_element(kinds & 15, depth + 1)?;
                }
                Some(())
            }
            STRUCT => self.fields(|thrift, _, kind| thrift.skip(kind, depth + 1)),
            13 => self.pass(16),
            _ => None,
        }
    }

    /// In lists and maps a boolean takes a byte.
    fn skip_element(&mut self, kind: u8, depth: usize) -> Option<()> {
        if matches!(kind, 1 | 2) { self.pass(1) } else { self.skip(kind, depth) }
    }

    fn page_header(&mut self) -> Option<PageHeader> {
        let mut page = PageHeader::default();
        self.fields(|thrift, id, kind| match (id, kind) {
            (2, I32) => thrift.size().map(|n| page.size = n),
            (3, I32) => thrift.size().map(|n| page.stored = n),
            // Data page, dictionary page and data page v2, which all begin with the count of values.
            (5 | 7 | 8, STRUCT) => {
                let count = if id == 7 { &mut page.entries } else { &mut page.values };
                thrift.fields(|thrift, id, kind| match (id, kind) {
                    (1, I32) => thrift.size().map(|n| *count = n),
                    _ => thrift.skip(kind, 1),
                })
            }
            _ => thrift.skip(kind, 0),
        })?;
        Some(page)
    }

    fn size(&mut self) -> Option<u64> {
        self.signed().and_then(|n| u64::try_from(n).ok()).filter(|&n| n <= i32::MAX as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A footer whose schema elements have these numbers of children.
    fn footer(children: &[u8]) -> Vec<u8> {
        // Field 2, a list of structs, each with field 5, a number in zigzag; then the end of the metadata.
        let mut footer = vec![0x29, 0xfc, children.len() as u8];
        children.iter().for_each(|n| footer.extend([0x55, n << 1, 0]));
        footer.push(0);
        let length = (footer.len() as u32).to_le_bytes();
        [&footer[..], &length, b"PAR1"].concat()
    }

    /// A page header: its sizes decompressed and stored, and its number of values, or of entries if `field`
    /// is 7.
    fn page(size: u64, stored: u64, field: u8, values: u64) -> Vec<u8> {
        let number = |n: u64| {
            let mut n = n << 1;
            let mut bytes = Vec::new();
            while n > 0x7f {
                bytes.push(n as u8 | 0x80);
                n >>= 7;
            }
            bytes.push(n as u8);
            bytes
        };
        [
            &[0x25][..],
            &number(size),
            &[0x15],
            &number(stored),
            &[(field - 3) << 4 | STRUCT, 0x15],
            &number(values),
            &[0, 0],
        ]
        .concat()
    }

    #[test]
    fn schemas_must_fit_their_footer() {
        assert_eq!(check_footer(b"no parquet"), Ok(()));
        assert_eq!(check_footer(&footer(&[2, 0, 1, 0])), Ok(()));
        let fault = check_footer(&footer(&[2, 60, 0])).unwrap_err();
        assert_eq!(fault, "the schema declares 60 children, 1 follow");
        let deep: Vec<u8> = [vec![1; 40], vec![0]].concat();
        assert_eq!(check_footer(&footer(&deep)).unwrap_err(), "the schema nests deeper than 32");
        let mut short = footer(&[1, 0]);
        short[2] = 100;
        assert_eq!(check_footer(&short).unwrap_err(), "the footer of 10 bytes is not as the format says");
    }

    #[test]
    fn pages_must_fit_their_column() {
        let two = [page(9, 1, 5, 4), vec![7], page(9, 0, 8, 5)].concat();
        let pages = check_pages(&two).unwrap();
        assert_eq!((pages.values, pages.open), (9, 18));
        let dictionary = [page(9, 0, 7, 5), page(4, 0, 5, 5)].concat();
        assert_eq!(check_pages(&dictionary).unwrap().open, 18 + 200);
        for (page, expected) in [
            (page(1 << 30, 0, 5, 1), "a page of 1073741824 bytes, expected at most 268435456"),
            (page(9, 5, 5, 1), "a page of 5 bytes, the column has 0 left"),
            (page(9, 0, 7, 1 << 30), "a dictionary of 1073741824 entries in 9 bytes"),
            (page(1 << 40, 0, 5, 1), "the page header at byte 0 of a column is damaged"),
            (vec![0x28, 0xff, 0xff, 0xff, 0x7f], "the page header at byte 0 of a column is damaged"),
            ([0x1c; 60].to_vec(), "the page header at byte 0 of a column is damaged"),
        ] {
            assert_eq!(check_pages(&page).unwrap_err(), expected);
        }
    }
}
