//! Where the fields of a map's keys and values are, as the kernel knows it from the program's BTF
//! (linux/Documentation/bpf/btf.rst). So what another version of the agent has left is read by the names of its fields, and no
//! version needs to know the layouts of others.

use std::{collections::BTreeMap, io, os::fd::BorrowedFd};

use super::sys;

const KIND_INT: u32 = 1;
const KIND_POINTER: u32 = 2;
const KIND_ARRAY: u32 = 3;
const KIND_STRUCT: u32 = 4;
const KIND_UNION: u32 = 5;
const KIND_ENUM: u32 = 6;
const KIND_TYPEDEF: u32 = 8;
const KIND_VOLATILE: u32 = 9;
const KIND_CONST: u32 = 10;
const KIND_RESTRICT: u32 = 11;
const KIND_FUNC_PROTO: u32 = 13;
const KIND_VAR: u32 = 14;
const KIND_DATASEC: u32 = 15;
const KIND_DECL_TAG: u32 = 17;
const KIND_TYPE_TAG: u32 = 18;
const KIND_ENUM64: u32 = 19;
/// Types that lead to types: deeper ones are not followed.
const DEPTH_MAX: usize = 16;

/// The fields of a key or a value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Shape {
    /// In bytes.
    pub(super) size: usize,
    fields: BTreeMap<String, Field>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Field {
    at: usize,
    size: usize,
}

/// A map with the shapes of its keys and values.
#[derive(Clone, Debug)]
pub(super) struct Shapes {
    pub(super) key: Shape,
    pub(super) value: Shape,
    pub(super) info: sys::MapInfo,
}

impl Shapes {
    /// The shapes of a map, from the kernel.
    ///
    /// # Errors
    /// The kernel's, and when it has no types for the map.
    pub(super) fn of(map: BorrowedFd<'_>) -> io::Result<Self> {
        let info = sys::map_info(map)?;
        let types = Types::read(&sys::btf_of(info.btf)?).ok_or_else(|| unreadable("its types"))?;
        let shape = |id, size| types.shape(id, size).ok_or_else(|| unreadable("the type of its elements"));
        let (key, value) = (shape(info.key_type, info.key_bytes)?, shape(info.value_type, info.value_bytes)?);
        Ok(Self { key, value, info })
    }
}

fn unreadable(what: &str) -> io::Error {
    io::Error::other(format!("a map of another version cannot be read: {what}"))
}

impl Shape {
    /// What has this shape, in another: every field that both have, by its name. What is new is zero.
    pub(super) fn carry(&self, value: &[u8], to: &Self) -> Vec<u8> {
        let mut carried = vec![0; to.size];
        for (name, new) in &to.fields {
            let old = self.fields.get(name).and_then(|old| value.get(old.at..old.at + old.size));
            let place = carried.get_mut(new.at..new.at + new.size);
            if let Some((old, place)) = old.zip(place) {
                // Numbers are little-endian: what is wider now is filled up with zeros.
                place.iter_mut().zip(old).for_each(|(place, byte)| *place = *byte);
            }
        }
        carried
    }

    /// The bytes of a field.
    pub(super) fn get<'a>(&self, value: &'a [u8], name: &str) -> Option<&'a [u8]> {
        let field = self.fields.get(name)?;
        value.get(field.at..field.at + field.size)
    }

    /// A field that is a number.
    pub(super) fn number(&self, value: &[u8], name: &str) -> Option<u64> {
        number(self.get(value, name)?)
    }

    /// Sets a field that is a number, if there is one of this name that it fits.
    pub(super) fn set(&self, value: &mut [u8], name: &str, number: u64) {
        let Some(field) = self.fields.get(name) else { return };
        if let Some(place) = value.get_mut(field.at..field.at + field.size) {
            place.fill(0);
            place.iter_mut().zip(number.to_le_bytes()).for_each(|(place, byte)| *place = byte);
        }
    }
}

/// Calls `each` for every element of a map, as bytes; both sizes are not zero. A per-CPU value is all CPUs' one after another.
///
/// # Errors
/// The kernel's.
pub(super) fn for_each_raw(
    map: BorrowedFd<'_>,
    (key_bytes, value_bytes): (usize, usize),
    mut each: impl FnMut(&[u8], &[u8]),
) -> io::Result<()> {
    let mut keys = vec![0_u8; sys::BATCH * key_bytes];
    let mut values = vec![0_u8; sys::BATCH * value_bytes];
    let mut position = None;
    loop {
        let (count, next) =
            sys::lookup_batch(map, position.as_ref(), keys.as_mut_ptr() as u64, values.as_mut_ptr() as u64)?;
        let elements = keys.chunks(key_bytes).zip(values.chunks(value_bytes));
        elements.take(count).for_each(|(key, value)| each(key, value));
        if next.is_none() {
            return Ok(());
        }
        position = next;
    }
}

/// Up to eight bytes as a number.
pub(super) fn number(bytes: &[u8]) -> Option<u64> {
    let mut word = [0; 8];
    word.get_mut(..bytes.len())?.copy_from_slice(bytes);
    Some(u64::from_le_bytes(word))
}

/// The types of one program.
struct Types {
    kinds: Vec<Type>,
}

#[derive(Debug)]
enum Type {
    /// Of so many bytes.
    Plain(usize),
    /// Of another type, so many times.
    Many(u32, usize),
    /// Another name of a type.
    Like(u32),
    /// With members, each with a type and an offset in bits.
    Structure(usize, Vec<(String, u32, u32)>),
    /// Nothing that a map holds.
    Other,
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl Reader<'_> {
    fn u32(&mut self) -> Option<u32> {
        let (word, rest) = self.rest.split_first_chunk::<4>()?;
        self.rest = rest;
        Some(u32::from_le_bytes(*word))
    }

    fn skip(&mut self, words: usize) -> Option<()> {
        self.rest = self.rest.get(4 * words..)?;
        Some(())
    }
}

impl Types {
    fn read(btf: &[u8]) -> Option<Self> {
        // Magic, version and flags; then the length of the header, and where types and strings are.
        let mut head = Reader { rest: btf.get(4..)? };
        let header = head.u32()? as usize;
        let [type_at, type_bytes, text_at, text_bytes] = [head.u32()?, head.u32()?, head.u32()?, head.u32()?];
        let part = |at: u32, bytes: u32| btf.get(header..)?.get(at as usize..)?.get(..bytes as usize);
        let texts = part(text_at, text_bytes)?;
        let mut types = Reader { rest: part(type_at, type_bytes)? };
        // Number 0 is void.
        let mut kinds = vec![Type::Other];
        while !types.rest.is_empty() {
            kinds.push(read_type(&mut types, texts)?);
        }
        Some(Self { kinds })
    }

    fn get(&self, id: u32) -> Option<&Type> {
        self.kinds.get(id as usize)
    }

    fn size(&self, id: u32, depth: usize) -> Option<usize> {
        if depth > DEPTH_MAX {
            return None;
        }
        match self.get(id)? {
            Type::Plain(size) | Type::Structure(size, _) => Some(*size),
            Type::Many(of, many) => self.size(*of, depth + 1)?.checked_mul(*many),
            Type::Like(of) => self.size(*of, depth + 1),
            Type::Other => None,
        }
    }

    /// The shape of a type, which must be as long as the map says. What is no structure is one field without a name.
    fn shape(&self, id: u32, bytes: u32) -> Option<Shape> {
        let mut id = id;
        for _ in 0..DEPTH_MAX {
            let Type::Like(of) = self.get(id)? else { break };
            id = *of;
        }
        let size = self.size(id, 0).filter(|size| *size == bytes as usize)?;
        let mut fields = BTreeMap::new();
        match self.get(id)? {
            Type::Structure(_, members) => {
                for (name, of, bits) in members {
                    let at = (*bits / 8) as usize;
                    fields.insert(name.clone(), Field { at, size: self.size(*of, 0)? });
                }
            }
            Type::Plain(_) | Type::Many(..) | Type::Like(_) | Type::Other => {
                fields.insert(String::new(), Field { at: 0, size });
            }
        }
        Some(Shape { size, fields })
    }
}

fn read_type(types: &mut Reader<'_>, texts: &[u8]) -> Option<Type> {
    let (_, info, size) = (types.u32()?, types.u32()?, types.u32()?);
    let (many, kind) = ((info & 0xffff) as usize, info >> 24 & 0x1f);
    Some(match kind {
        KIND_INT => {
            types.skip(1)?;
            Type::Plain(size as usize)
        }
        KIND_POINTER => Type::Plain(8),
        KIND_ARRAY => {
            let (of, _, count) = (types.u32()?, types.u32()?, types.u32()?);
            Type::Many(of, count as usize)
        }
        KIND_STRUCT | KIND_UNION => {
            let members =
                (0..many).map(|_| Some((text(texts, types.u32()?)?, types.u32()?, types.u32()? & 0xff_ffff)));
            Type::Structure(size as usize, members.collect::<Option<_>>()?)
        }
        KIND_ENUM => {
            types.skip(2 * many)?;
            Type::Plain(size as usize)
        }
        KIND_ENUM64 => {
            types.skip(3 * many)?;
            Type::Plain(size as usize)
        }
        KIND_TYPEDEF | KIND_VOLATILE | KIND_CONST | KIND_RESTRICT | KIND_TYPE_TAG => Type::Like(size),
        KIND_FUNC_PROTO => {
            types.skip(2 * many)?;
            Type::Other
        }
        KIND_VAR | KIND_DECL_TAG => {
            types.skip(1)?;
            Type::Other
        }
        KIND_DATASEC => {
            types.skip(3 * many)?;
            Type::Other
        }
        _ => Type::Other,
    })
}

fn text(texts: &[u8], at: u32) -> Option<String> {
    let rest = texts.get(at as usize..)?;
    let end = rest.iter().position(|byte| *byte == 0)?;
    Some(String::from_utf8_lossy(rest.get(..end)?).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(fields: &[(&str, usize, usize)], size: usize) -> Shape {
        let fields = fields.iter().map(|(name, at, size)| ((*name).to_owned(), Field { at: *at, size: *size }));
        Shape { size, fields: fields.collect() }
    }

    #[test]
    fn fields_are_carried_by_name() {
        let old = shape(&[("a", 0, 4), ("b", 4, 2), ("gone", 6, 2)], 8);
        let new = shape(&[("b", 0, 8), ("new", 8, 4), ("a", 12, 4)], 16);
        let value = [1, 2, 3, 4, 5, 6, 7, 8];
        assert_eq!(old.carry(&value, &new), [5, 6, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4]);
        assert_eq!(new.carry(&old.carry(&value, &new), &old), [1, 2, 3, 4, 5, 6, 0, 0]);
        assert_eq!((old.number(&value, "b"), old.number(&value, "c")), (Some(0x605), None));
        let mut changed = value;
        old.set(&mut changed, "b", 0x1_0203);
        assert_eq!(changed, [1, 2, 3, 4, 3, 2, 7, 8]);
    }

    /// The program's own BTF, as the compiler wrote it.
    #[test]
    fn types_of_the_program_are_read() {
        let object = super::super::maps::object();
        // The only section that begins with the magic number and version of BTF, and has types.
        let starts = object.windows(4).enumerate().filter(|(_, word)| *word == [0x9f, 0xeb, 1, 0]);
        let types = starts.filter_map(|(at, _)| Types::read(object.get(at..)?)).max_by_key(|types| types.kinds.len());
        let types = types.unwrap();
        let is_flow = |kind: &&Type| matches!(kind, Type::Structure(_, members) if members.iter().any(|(name, ..)| name == "progress"));
        let found = types.kinds.iter().position(|kind| is_flow(&kind)).unwrap() as u32;
        let size = types.size(found, 0).unwrap();
        assert_eq!(size, size_of::<sekimori_compile::abi::Flow>());
        let flow = types.shape(found, size as u32).unwrap();
        let value: Vec<u8> = (0..size as u8).collect();
        assert_eq!(flow.get(&value, "packets").unwrap().len(), 16);
        assert_eq!(types.shape(found, 1), None, "another length");
    }
}
