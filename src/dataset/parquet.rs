//! Parquet, with the values that the hub's loader gives.

use super::arrow_schema;
use super::parquet_kinds::{self, Kind, kind};
use super::parquet_layout::{Pages, check_footer, check_pages};
use super::room::{Fault, too_large};
use crate::bounds::{Claim, quietly};
use crate::python::calendar::{Unit, timestamp};
use crate::vocabulary::{Cell, Row};
use bytes::Bytes;
use parquet::basic::{Encoding, Type as PhysicalType};
use parquet::bloom_filter::Sbbf;
use parquet::column::page::{Page, PageMetadata, PageReader};
use parquet::column::reader::ColumnReader;
use parquet::errors::{ParquetError, Result as Read};
use parquet::file::metadata::RowGroupMetaData;
use parquet::file::reader::{FileReader, RowGroupReader, SerializedFileReader};
use parquet::record::reader::RowIter;
use parquet::schema::types::Type;

/// Reads all rows of a file's bytes.
///
/// # Errors
/// The reader's own description of the fault.
pub fn read(bytes: Bytes) -> Result<Vec<Row>, Fault> {
    let mut too_large = None;
    // The reader trusts offsets and lengths in a file's pages, and may panic where they were tampered with.
    quietly(|| read_rows(bytes, &mut too_large))
        .unwrap_or_else(|_| Err(fault("the pages do not fit the file's own description")))
        .map_err(|error| too_large.unwrap_or_else(|| Fault::Damaged(error.to_string().to_lowercase())))
}

/// Keeps a fault aside that the reader's errors have no kind for.
fn keep(kept: &mut Option<Fault>, fault: Fault) -> ParquetError {
    let error = ParquetError::General(fault.to_string());
    *kept = Some(fault);
    error
}

fn fault(what: impl Into<String>) -> ParquetError {
    ParquetError::General(what.into())
}

/// Maximum values of all columns of a file: this many, and one more for each of its bytes. A file of texts
/// has far fewer.
const VALUES: u64 = 4_000_000;
/// Maximum bytes of a file's rows: this many, and [`ROW_BYTES_PER_BYTE`] more for each of its bytes. Texts
/// compress to a tenth.
const ROW_BYTES: usize = 256 << 20;
const ROW_BYTES_PER_BYTE: usize = 100;

/// Bytes of a value's place in a row and of its name, beside [`size_of`].
const BESIDE_VALUE: usize = 64;
/// Bytes of an item of a list, of which a row may have all there are.
const ITEM: u64 = 96;

fn read_rows(bytes: Bytes, kept: &mut Option<Fault>) -> Read<Vec<Row>> {
    check_footer(&bytes).map_err(fault)?;
    let reader = SerializedFileReader::new(bytes.clone())?;
    let most_values = VALUES + bytes.len() as u64;
    let most_bytes = bytes.len().saturating_mul(ROW_BYTES_PER_BYTE).saturating_add(ROW_BYTES);
    let kinds = kinds(&reader)?;
    let schema = reader.metadata().file_metadata().schema();
    let names: Vec<String> = schema.get_fields().iter().map(|column| column.name().to_string()).collect();
    let (mut values, mut size) = (0, 0);
    let mut of_rows = Claim::default();
    let mut rows: Vec<Row> = Vec::new();
    for index in 0..reader.num_row_groups() {
        let group = reader.get_row_group(index)?;
        let pages = pages_of(&bytes, group.metadata())?;
        values += pages.values;
        let _open = Claim::of(pages.open).map_err(|no_room| {
            let columns = group.metadata().num_columns();
            keep(kept, too_large(&format!("the open pages of {columns} columns together take"), &no_room))
        })?;
        if values > most_values {
            let what = format!("{values} values in {} bytes, expected {most_values} at most", bytes.len());
            return Err(keep(kept, Fault::TooLarge(what)));
        }
        let group = CheckedGroup { group, most: most_values as usize };
        let first = rows.len();
        let projection = projection(&reader, &kinds)?;
        for row in RowIter::from_row_group(projection, &group)? {
            let mut fields = row?.into_columns().into_iter();
            let mut columns = Row::new();
            let before = size;
            for (name, kind) in names.iter().zip(&kinds) {
                let value = match kind {
                    Kind::Refused(why) => Cell::Refused(why.as_str().into()),
                    Kind::Int96 => Cell::Null,
                    kind => {
                        let (_, field) = fields.next().ok_or_else(|| fault("a row has too few columns"))?;
                        let cell = parquet_kinds::cell(kind, field);
                        cell.map_err(|what| fault(format!("column `{name}`: {what}")))?.in_column(name)
                    }
                };
                size += name.len() + size_of(&value);
                columns.insert(name.clone(), value);
            }
            if size > most_bytes {
                let what = format!("more than {most_bytes} bytes of rows in a file of {}", bytes.len());
                return Err(keep(kept, Fault::TooLarge(what)));
            }
            of_rows.grow((size - before + BESIDE_VALUE * names.len()) as u64).map_err(|no_room| {
                keep(kept, too_large(&format!("its first {} rows take", rows.len() + 1), &no_room))
            })?;
            rows.push(columns);
        }
        read_int96(&group, &kinds, &mut rows[first..])?;
    }
    Ok(rows)
}

/// The kinds of all columns.
fn kinds(reader: &SerializedFileReader<Bytes>) -> Read<Vec<Kind>> {
    let file = reader.metadata().file_metadata();
    let stored = |key: &str| {
        let pairs = file.key_value_metadata().into_iter().flatten();
        pairs.filter(|pair| pair.key == key).find_map(|pair| pair.value.as_deref())
    };
    let arrow =
        stored("ARROW:schema").map(arrow_schema::read).transpose().map_err(fault)?.unwrap_or_default();
    let columns = file.schema().get_fields().iter().enumerate();
    let mut kinds: Vec<Kind> = columns.map(|(at, column)| kind(column, arrow.get(at))).collect();
    // The library stores the kinds that Arrow has no names for, such as images, beside the schema.
    let features =
        stored("huggingface").and_then(|text| serde_json::from_str::<serde_json::Value>(text).ok());
    for (kind, column) in kinds.iter_mut().zip(file.schema().get_fields()) {
        let feature =
            features.as_ref().and_then(|all| all["info"]["features"][column.name()]["_type"].as_str());
        match feature {
            Some("Json") if *kind == Kind::Text => *kind = Kind::Json,
            Some(feature @ ("Image" | "Audio" | "Video" | "Pdf" | "Nifti" | "Mesh")) => {
                let name = column.name();
                let what =
                    format!("column `{name}` holds values of the feature {feature}, which are not read here");
                *kind = Kind::Refused(what);
            }
            _ => {}
        }
    }
    Ok(kinds)
}

/// The columns that the record reader reads; `None` for all. It panics at types that it does not know, and rounds
/// timestamps of 96 bits to milliseconds.
fn projection(reader: &SerializedFileReader<Bytes>, kinds: &[Kind]) -> Read<Option<Type>> {
    let schema = reader.metadata().file_metadata().schema();
    let is_read = |kind: &Kind| !matches!(kind, Kind::Refused(_) | Kind::Int96);
    if kinds.iter().all(is_read) {
        return Ok(None);
    }
    let columns = schema.get_fields().iter().zip(kinds).filter(|(_, kind)| is_read(kind));
    let columns = columns.map(|(column, _)| column.clone()).collect();
    Type::group_type_builder(schema.name()).with_fields(columns).build().map(Some)
}

/// Reads the columns of timestamps of 96 bits.
fn read_int96(group: &CheckedGroup<'_>, kinds: &[Kind], rows: &mut [Row]) -> Read<()> {
    for (column, described) in group.metadata().columns().iter().enumerate() {
        let path = described.column_path().parts();
        let ([name], PhysicalType::INT96) = (path, described.column_type()) else { continue };
        let place = rows.first().and_then(|row| row.get_index_of(name.as_str()));
        if place.and_then(|place| kinds.get(place)) != Some(&Kind::Int96) {
            continue;
        }
        let ColumnReader::Int96ColumnReader(mut reader) = group.get_column_reader(column)? else { continue };
        let (mut levels, mut values) = (Vec::new(), Vec::new());
        while reader.read_records(rows.len(), Some(&mut levels), None, &mut values)?.1 > 0 {}
        let mut values = values.iter();
        let required = described.column_descr().max_def_level() == 0;
        for (i, row) in rows.iter_mut().enumerate() {
            let is_there = required || levels.get(i).is_some_and(|level| *level > 0);
            let value = if is_there { values.next() } else { None };
            let value = value.map_or(Cell::Null, |value| timestamp(value.to_nanos(), Unit::Nano, None));
            row.insert(name.clone(), value);
        }
    }
    Ok(())
}

/// The pages of all columns of a group, which are read at once. Each column's must have at least as many values as there are rows.
fn pages_of(bytes: &Bytes, group: &RowGroupMetaData) -> Read<Pages> {
    let mut all = Pages::default();
    let rows = u64::try_from(group.num_rows()).map_err(|_| fault("a negative number of rows"))?;
    if group.num_columns() == 0 && rows > 0 {
        return Err(fault("rows without columns"));
    }
    for column in group.columns() {
        let name = column.column_path();
        let start = column.dictionary_page_offset().unwrap_or_else(|| column.data_page_offset());
        let chunk = usize::try_from(start).ok().zip(usize::try_from(column.compressed_size()).ok());
        let chunk = chunk.and_then(|(start, length)| bytes.get(start..start.checked_add(length)?));
        let chunk = chunk.ok_or_else(|| fault(format!("column {name} lies outside the file")))?;
        let pages = check_pages(chunk).map_err(|what| fault(format!("column {name}: {what}")))?;
        if pages.values < rows {
            return Err(fault(format!("column {name} has {} values for {rows} rows", pages.values)));
        }
        all.values += pages.values;
        let is_list = column.column_descr().max_rep_level() > 0;
        all.open += pages.open + if is_list { pages.values * ITEM } else { 0 };
    }
    Ok(all)
}

/// Approximate bytes of memory that `value` takes.
fn size_of(value: &Cell) -> usize {
    64 + match value {
        Cell::Text(text) => text.len(),
        Cell::Bytes(bytes) => bytes.len(),
        Cell::List(items) => items.iter().map(size_of).sum(),
        Cell::Object(object) => object.str.len() + object.repr.len() + 64 * object.attributes.len(),
        Cell::Struct(entries) => entries.iter().map(|(name, value)| name.len() + size_of(value)).sum(),
        _ => 0,
    }
}

/// A row group whose pages are checked for counts that only their contents hold.
struct CheckedGroup<'a> {
    group: Box<dyn RowGroupReader + 'a>,
    most: usize,
}

impl RowGroupReader for CheckedGroup<'_> {
    fn metadata(&self) -> &RowGroupMetaData {
        self.group.metadata()
    }

    fn num_columns(&self) -> usize {
        self.group.num_columns()
    }

    fn get_column_page_reader(&self, column: usize) -> Read<Box<dyn PageReader>> {
        let described = self.metadata().column(column).column_descr();
        Ok(Box::new(CheckedPages {
            pages: self.group.get_column_page_reader(column)?,
            levels: usize::from(described.max_rep_level() > 0) + usize::from(described.max_def_level() > 0),
            most: self.most,
        }))
    }

    fn get_column_bloom_filter(&self, column: usize) -> Option<&Sbbf> {
        self.group.get_column_bloom_filter(column)
    }

    fn get_row_iter(&self, projection: Option<parquet::schema::types::Type>) -> Read<RowIter<'_>> {
        RowIter::from_row_group(projection, self)
    }
}

struct CheckedPages {
    pages: Box<dyn PageReader>,
    /// Runs of levels before a page's values.
    levels: usize,
    most: usize,
}

impl CheckedPages {
    /// Delta encodings begin with a count of their own, by which the reader allocates.
    fn check(&self, page: &Page) -> Read<()> {
        let differences = matches!(
            page.encoding(),
            Encoding::DELTA_BINARY_PACKED | Encoding::DELTA_LENGTH_BYTE_ARRAY | Encoding::DELTA_BYTE_ARRAY
        );
        if !differences {
            return Ok(());
        }
        let mut data: &[u8] = page.buffer();
        let short = || fault("a page ends before its values");
        match page {
            Page::DataPageV2 { def_levels_byte_len, rep_levels_byte_len, .. } => {
                let levels = *def_levels_byte_len as usize + *rep_levels_byte_len as usize;
                data = data.get(levels..).ok_or_else(short)?;
            }
            _ => {
                for _ in 0..self.levels {
                    let (length, rest) = data.split_first_chunk::<4>().ok_or_else(short)?;
                    data = rest.get(u32::from_le_bytes(*length) as usize..).ok_or_else(short)?;
                }
            }
        }
        // Prefix lengths, then suffix lengths: each run must be scanned to find the next.
        let runs = match page.encoding() {
            Encoding::DELTA_BYTE_ARRAY => 2,
            _ => 1,
        };
        for _ in 0..runs {
            let (count, rest) = skip_delta_run(data).ok_or_else(short)?;
            if count > page.num_values() as u64 || count > self.most as u64 {
                let what = format!("a page of {} values encodes {count}", page.num_values());
                return Err(fault(what));
            }
            data = rest;
        }
        Ok(())
    }
}

/// The count of a run of delta-packed numbers, and the bytes after it:
/// <https://parquet.apache.org/docs/file-format/data-pages/encodings/>.
fn skip_delta_run(mut data: &[u8]) -> Option<(u64, &[u8])> {
    fn number(data: &mut &[u8]) -> Option<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let (&byte, rest) = data.split_first()?;
            *data = rest;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }
    let (block, parts) = (number(&mut data)?, number(&mut data)?);
    let count = number(&mut data)?;
    number(&mut data)?;
    let per_part = block.checked_div(parts)?;
    let mut left = count.saturating_sub(1);
    while left > 0 {
        // The minimum delta, then the bit width of each miniblock; miniblocks after the last value are left
        // out.
        number(&mut data)?;
        let widths = data.get(..usize::try_from(parts).ok()?)?;
        data = &data[widths.len()..];
        for &width in widths {
            if left == 0 {
                break;
            }
            let bytes = per_part.checked_mul(u64::from(width))? / 8;
            data = data.get(usize::try_from(bytes).ok()?..).unwrap_or_default();
            left = left.saturating_sub(per_part.max(1));
        }
        if widths.is_empty() {
            return None;
        }
    }
    Some((count, data))
}

impl Iterator for CheckedPages {
    type Item = Read<Page>;

    fn next(&mut self) -> Option<Self::Item> {
        self.get_next_page().transpose()
    }
}

impl PageReader for CheckedPages {
    fn get_next_page(&mut self) -> Read<Option<Page>> {
        let page = self.pages.get_next_page()?;
        page.iter().try_for_each(|page| self.check(page))?;
        Ok(page)
    }

    fn peek_next_page(&mut self) -> Read<Option<PageMetadata>> {
        self.pages.peek_next_page()
    }

    fn skip_next_page(&mut self) -> Read<()> {
        self.pages.skip_next_page()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seed(name: &str) -> Vec<u8> {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds/parquet");
        std::fs::read(folder.join(name)).unwrap()
    }

    #[test]
    fn every_kind_of_page_is_read() {
        for name in ["plain", "snappy", "zstd", "groups", "delta", "lengths"] {
            let rows = read(seed(name).into()).unwrap();
            assert_eq!(rows.len(), 3, "{name}");
            assert_eq!(rows[0]["q"], Cell::Text("why?".into()), "{name}");
            assert_eq!(rows[2]["q"], Cell::Null, "{name}");
        }
        assert_eq!(read(seed("packed").into()).unwrap()[2]["n"], Cell::Int(3));
        assert_eq!(
            read(seed("nested").into()).unwrap()[0]["choices"],
            Cell::from(serde_json::json!(["a", "b"]))
        );
        assert_eq!(read(seed("kinds").into()).unwrap()[1]["i"], Cell::Int(2));
    }

    #[test]
    fn counts_of_differences_are_held_against_the_page() {
        // Blocks of 128 in 4 miniblocks, 2 numbers, the first is 5, then one block of widths 1, 0, 0, 0.
        let packed = [0x80, 0x01, 4, 2, 10, 0, 1, 0, 0, 0, 1, 0, 0, 0, 9];
        assert_eq!(skip_delta_run(&packed), Some((2, &[9][..])));
        assert_eq!(skip_delta_run(&[0x80, 0x01, 4, 0, 0]), Some((0, &[][..])));
        assert_eq!(skip_delta_run(&[0x80, 0x01, 0, 2, 10]), None);
        assert_eq!(skip_delta_run(&[0x80, 0x01, 4, 0xff, 0xff, 0xff, 0xff, 0x0f, 10]), None);
    }
}
