//! The system calls that no library offers as we need them. Every `unsafe` of the project is in this file.
//!
//! `bpf(2)` takes a union of structures by address; each function below fills the fields of one command
//! and leaves the rest zero, as the kernel demands.

#![expect(unsafe_code, reason = "bpf(2), mmap(2) and membarrier(2) have no safe wrapper that does this")]

use std::{
    ffi::CString,
    io,
    mem::MaybeUninit,
    os::{
        fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    path::Path,
    ptr::{self, NonNull},
    sync::atomic::{AtomicI32, AtomicU16, AtomicU32, AtomicU64, Ordering},
};

use sekimori_compile::{abi, event::EventShare};

const MAP_LOOKUP: i32 = 1;
const MAP_UPDATE: i32 = 2;
const MAP_DELETE: i32 = 3;
const OBJ_PIN: i32 = 6;
const OBJ_GET: i32 = 7;
const PROG_TEST_RUN: i32 = 10;
const OBJ_GET_INFO_BY_FD: i32 = 15;
const BTF_GET_FD_BY_ID: i32 = 19;
const MAP_LOOKUP_BATCH: i32 = 24;
const MAP_DELETE_BATCH: i32 = 27;
const LINK_CREATE: i32 = 28;
const LINK_UPDATE: i32 = 29;
const LINK_DETACH: i32 = 34;

/// Attach type: towards the network stack, that is from the ENI.
pub const TCX_INGRESS: u32 = 46;
/// Attach type: out of the network stack, that is to the ENI.
pub const TCX_EGRESS: u32 = 47;

/// Types that are plain bytes: any bit pattern is a value, and there is no padding to leak.
///
/// # Safety
/// Implement it only for such types.
pub unsafe trait Plain: Copy {}
// SAFETY: integers and arrays of them are plain bytes.
unsafe impl Plain for u32 {}
// SAFETY: as above.
unsafe impl Plain for u64 {}
// SAFETY: as above.
unsafe impl<T: Plain, const N: usize> Plain for [T; N] {}
// SAFETY: as above.
unsafe impl Plain for u8 {}
// SAFETY: `repr(C)`, integers only, and the test `structures_have_no_padding` holds for all of these.
unsafe impl Plain for abi::Eni {}
// SAFETY: as above.
unsafe impl Plain for abi::Member {}
// SAFETY: as above.
unsafe impl Plain for abi::AddressKey {}
// SAFETY: as above.
unsafe impl Plain for abi::PortKey {}
// SAFETY: as above.
unsafe impl Plain for abi::FlowKey {}
// SAFETY: as above.
unsafe impl Plain for abi::FlowKey4 {}
// SAFETY: as above.
unsafe impl Plain for abi::Flow {}
// SAFETY: as above.
unsafe impl Plain for abi::Budget {}
// SAFETY: as above.
unsafe impl Plain for abi::Counter {}
// SAFETY: as above.
unsafe impl Plain for abi::CounterBlock {}
// SAFETY: as above.
unsafe impl Plain for abi::ReasonCounts {}
// SAFETY: as above.
unsafe impl Plain for abi::ShadowCounts {}
// SAFETY: as above.
unsafe impl Plain for abi::RuleName {}
// SAFETY: as above.
unsafe impl Plain for EventShare {}
// SAFETY: as above.
unsafe impl Plain for abi::Shadow {}
// SAFETY: as above.
unsafe impl Plain for abi::ShadowPair {}
// SAFETY: as above.
unsafe impl Plain for abi::ShadowWitness {}
// SAFETY: as above.
unsafe impl Plain for abi::ShadowSeen {}

#[repr(C)]
#[derive(Default)]
struct Attr {
    words: [u64; 16],
}

/// One map element command: fd, key, value, flags.
fn element(fd: BorrowedFd<'_>, key: u64, value: u64, flags: u64) -> Attr {
    let mut attr = Attr::default();
    attr.words[0] = u64::from(fd.as_raw_fd().unsigned_abs());
    attr.words[1] = key;
    attr.words[2] = value;
    attr.words[3] = flags;
    attr
}

fn bpf(command: i32, attr: &mut Attr) -> io::Result<i64> {
    // SAFETY: `attr` is a live, initialized block of the size given; the pointers in it come from live
    // references of the callers below.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, ptr::from_mut(attr), size_of::<Attr>()) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

fn address<T>(value: &T) -> u64 {
    ptr::from_ref(value) as u64
}

/// Writes an element of a hash.
///
/// # Errors
/// The kernel's, for example `E2BIG` for a full map.
pub fn update<K: Plain, V: Plain>(map: BorrowedFd<'_>, key: &K, value: &V) -> io::Result<()> {
    bpf(MAP_UPDATE, &mut element(map, address(key), address(value), 0)).map(drop)
}

/// Takes an element out of a hash; one that is not there is no error.
///
/// # Errors
/// The kernel's.
pub fn delete<K: Plain>(map: BorrowedFd<'_>, key: &K) -> io::Result<()> {
    match bpf(MAP_DELETE, &mut element(map, address(key), 0, 0)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other.map(drop),
    }
}

/// Reads an element.
///
/// # Errors
/// The kernel's, except that a missing element is `None`.
pub fn lookup<K: Plain, V: Plain>(map: BorrowedFd<'_>, key: &K) -> io::Result<Option<V>> {
    let mut value = MaybeUninit::<V>::zeroed();
    let mut attr = element(map, address(key), value.as_mut_ptr() as u64, 0);
    match bpf(MAP_LOOKUP, &mut attr) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
        // SAFETY: `Plain` types are valid for any bytes, and the kernel has filled all of them.
        Ok(_) => Ok(Some(unsafe { value.assume_init() })),
    }
}

/// Reads an element of a per-CPU array: one value for each possible CPU.
///
/// # Errors
/// The kernel's.
pub fn lookup_per_cpu<V: Plain>(map: BorrowedFd<'_>, index: u32, cpus: usize) -> io::Result<Vec<V>> {
    // The kernel rounds each value up to eight bytes; every value that is read here is a multiple of it.
    debug_assert_eq!(size_of::<V>() % 8, 0);
    // SAFETY: `Plain` types are valid for any bytes.
    let mut values = vec![unsafe { std::mem::zeroed::<V>() }; cpus];
    let mut attr = element(map, address(&index), values.as_mut_ptr() as u64, 0);
    bpf(MAP_LOOKUP, &mut attr).map(|_| values)
}

/// Sets an element of a per-CPU array on every CPU.
///
/// # Errors
/// The kernel's.
pub fn update_per_cpu<V: Plain>(map: BorrowedFd<'_>, index: u32, value: V, cpus: usize) -> io::Result<()> {
    update_each_cpu(map, index, &vec![value; cpus])
}

/// Sets an element of a per-CPU array, on each possible CPU to a value of its own.
///
/// # Errors
/// The kernel's.
pub fn update_each_cpu<V: Plain>(map: BorrowedFd<'_>, index: u32, values: &[V]) -> io::Result<()> {
    bpf(MAP_UPDATE, &mut element(map, address(&index), values.as_ptr() as u64, 0)).map(drop)
}

/// Elements read, or taken out, by one system call.
pub(super) const BATCH: usize = 4_096;

/// Calls `each` for every element of a hash. An element that comes or goes meanwhile may be seen or not.
///
/// # Errors
/// The kernel's.
pub fn for_each<K: Plain + Default, V: Plain + Default>(
    map: BorrowedFd<'_>,
    mut each: impl FnMut(&K, &V),
) -> io::Result<()> {
    for_each_run(map, |keys: &[K], values: &[V]| {
        keys.iter().zip(values).for_each(|(key, value)| each(key, value));
        Ok(())
    })
}

/// The same for what is read at a time; `each` may take elements out.
///
/// # Errors
/// The kernel's, or those of `each`.
pub fn for_each_run<K: Plain + Default, V: Plain + Default>(
    map: BorrowedFd<'_>,
    mut each: impl FnMut(&[K], &[V]) -> io::Result<()>,
) -> io::Result<()> {
    let mut keys = vec![K::default(); BATCH];
    let mut values = vec![V::default(); BATCH];
    let mut position = None;
    loop {
        let (count, next) =
            lookup_batch(map, position.as_ref(), keys.as_mut_ptr() as u64, values.as_mut_ptr() as u64)?;
        each(keys.get(..count).unwrap_or_default(), values.get(..count).unwrap_or_default())?;
        if next.is_none() {
            return Ok(());
        }
        position = next;
    }
}

/// Where a walk over a map is.
pub(super) type Position = [u64; 8];

/// Reads up to [`BATCH`] elements from a position on to where there is room for them; returns how many, and the next position if
/// there are more.
pub(super) fn lookup_batch(
    map: BorrowedFd<'_>,
    position: Option<&Position>,
    keys: u64,
    values: u64,
) -> io::Result<(usize, Option<Position>)> {
    let mut next: Position = [0; 8];
    let mut attr = Attr::default();
    attr.words[0] = position.map_or(0, address);
    attr.words[1] = next.as_mut_ptr() as u64;
    attr.words[2] = keys;
    attr.words[3] = values;
    attr.words[4] = BATCH as u64 | (u64::from(map.as_raw_fd().unsigned_abs()) << 32);
    let result = bpf(MAP_LOOKUP_BATCH, &mut attr);
    let count = (attr.words[4] & 0xffff_ffff) as usize;
    match result {
        Ok(_) => Ok((count, Some(next))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok((count, None)),
        Err(error) => Err(error),
    }
}

/// Puts an element into a hash whose elements have these lengths, if none of its key is there; whether it was put there.
///
/// # Errors
/// The kernel's, for example `E2BIG` for a full map; when the lengths are not the map's.
pub fn insert_raw(map: BorrowedFd<'_>, key: &[u8], value: &[u8]) -> io::Result<bool> {
    const ONLY_NEW: u64 = 1;
    match write_raw(map, key, value, ONLY_NEW) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error),
    }
}

/// Writes an element into a map whose elements have these lengths.
///
/// # Errors
/// The kernel's; when the lengths are not the map's.
pub fn update_raw(map: BorrowedFd<'_>, key: &[u8], value: &[u8]) -> io::Result<()> {
    write_raw(map, key, value, 0)
}

fn write_raw(map: BorrowedFd<'_>, key: &[u8], value: &[u8], flags: u64) -> io::Result<()> {
    let info = map_info(map)?;
    if (key.len(), value.len()) != (info.key_bytes as usize, info.value_bytes as usize) {
        return Err(io::Error::other("an element of another layout"));
    }
    bpf(MAP_UPDATE, &mut element(map, key.as_ptr() as u64, value.as_ptr() as u64, flags)).map(drop)
}

/// Takes elements out of a hash, with one system call for thousands. Calls `taken` with the place in `keys` of each that was there.
///
/// # Errors
/// The kernel's.
pub fn delete_run<K: Plain>(map: BorrowedFd<'_>, keys: &[K], mut taken: impl FnMut(usize)) -> io::Result<()> {
    let mut from = 0;
    while let Some(rest) = keys.get(from..).filter(|rest| !rest.is_empty()) {
        let wanted = rest.len().min(BATCH);
        let mut attr = Attr::default();
        attr.words[2] = rest.as_ptr() as u64;
        attr.words[4] = wanted as u64 | (u64::from(map.as_raw_fd().unsigned_abs()) << 32);
        let result = bpf(MAP_DELETE_BATCH, &mut attr);
        let count = ((attr.words[4] & 0xffff_ffff) as usize).min(wanted);
        let is_missing = match result {
            Ok(_) => false,
            // The kernel stops at a key that is not there; the next call goes on behind it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => true,
            Err(error) => return Err(error),
        };
        (from..from + count).for_each(&mut taken);
        from += count + usize::from(is_missing);
    }
    Ok(())
}

/// Attaches a program to an interface of the calling thread's network namespace, behind what is there.
///
/// # Errors
/// The kernel's; `EINVAL` where it has no tcx.
pub fn link_create(program: BorrowedFd<'_>, ifindex: u32, attach_type: u32) -> io::Result<OwnedFd> {
    let mut attr = Attr::default();
    attr.words[0] = u64::from(program.as_raw_fd().unsigned_abs()) | (u64::from(ifindex) << 32);
    attr.words[1] = u64::from(attach_type);
    let fd = bpf(LINK_CREATE, &mut attr)?;
    // SAFETY: the kernel has just given this descriptor to us alone.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

/// Puts another program in the place of a link's, at once.
///
/// # Errors
/// The kernel's; `ENOLINK` when the interface is gone.
pub fn link_update(link: BorrowedFd<'_>, program: BorrowedFd<'_>) -> io::Result<()> {
    let mut attr = Attr::default();
    attr.words[0] =
        u64::from(link.as_raw_fd().unsigned_abs()) | (u64::from(program.as_raw_fd().unsigned_abs()) << 32);
    bpf(LINK_UPDATE, &mut attr).map(drop)
}

/// Takes a link off its interface; the link stays, and does nothing any more.
///
/// # Errors
/// The kernel's.
pub fn link_detach(link: BorrowedFd<'_>) -> io::Result<()> {
    let mut attr = Attr::default();
    attr.words[0] = u64::from(link.as_raw_fd().unsigned_abs());
    bpf(LINK_DETACH, &mut attr).map(drop)
}

/// What the kernel tells of a map, a program or a link, as 32-bit words: type and id come first in each.
fn info(object: BorrowedFd<'_>) -> io::Result<[u32; 20]> {
    let mut words = [0_u32; 20];
    let mut attr = Attr::default();
    attr.words[0] = u64::from(object.as_raw_fd().unsigned_abs()) | ((size_of_val(&words) as u64) << 32);
    attr.words[1] = words.as_mut_ptr() as u64;
    bpf(OBJ_GET_INFO_BY_FD, &mut attr)?;
    Ok(words)
}

/// The kernel's number of a map, a program or a link: the same number is the same object.
///
/// # Errors
/// The kernel's.
pub fn object_id(object: BorrowedFd<'_>) -> io::Result<u32> {
    Ok(info(object)?[1])
}

/// What a map is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MapInfo {
    /// Of a key.
    pub key_bytes: u32,
    /// Of a value, of one CPU.
    pub value_bytes: u32,
    /// Elements at most.
    pub max_entries: u32,
    /// The number of the types that the following are numbers in.
    pub btf: u32,
    /// The type of a key.
    pub key_type: u32,
    /// The type of a value.
    pub value_type: u32,
}

/// Looks at a map.
///
/// # Errors
/// The kernel's.
pub fn map_info(map: BorrowedFd<'_>) -> io::Result<MapInfo> {
    // struct bpf_map_info: sizes from the 3rd word on; the name and where an offloaded map is; the types from the 17th on.
    let words = info(map)?;
    let [_, _, key_bytes, value_bytes, max_entries, ..] = words;
    Ok(MapInfo { key_bytes, value_bytes, max_entries, btf: words[16], key_type: words[17], value_type: words[18] })
}

/// The longest BTF that is read.
const BTF_BYTES_MAX: usize = 1 << 20;

/// The BTF of a number.
///
/// # Errors
/// The kernel's, and when it is too long to be of one of our programs.
pub fn btf_of(id: u32) -> io::Result<Vec<u8>> {
    let mut attr = Attr::default();
    attr.words[0] = u64::from(id);
    let fd = bpf(BTF_GET_FD_BY_ID, &mut attr)?;
    // SAFETY: the kernel has just given this descriptor to us alone.
    let btf = unsafe { OwnedFd::from_raw_fd(fd as i32) };
    let mut bytes = vec![0_u8; BTF_BYTES_MAX];
    // struct bpf_btf_info: where the bytes go, and how many there is room for; then how many there are.
    let mut words = [bytes.as_mut_ptr() as u64, BTF_BYTES_MAX as u64, 0, 0];
    let mut attr = Attr::default();
    attr.words[0] = u64::from(btf.as_raw_fd().unsigned_abs()) | ((size_of_val(&words) as u64) << 32);
    attr.words[1] = words.as_mut_ptr() as u64;
    bpf(OBJ_GET_INFO_BY_FD, &mut attr)?;
    let length = (words[1] & 0xffff_ffff) as usize;
    if length > BTF_BYTES_MAX {
        return Err(io::Error::other("the types of a map are too long"));
    }
    bytes.truncate(length);
    Ok(bytes)
}

/// Where a tcx link is, and what it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkInfo {
    /// Its number.
    pub id: u32,
    /// The number of its program.
    pub program: u32,
    /// Its interface; 0 when it is on none any more.
    pub ifindex: u32,
    /// Which way round: [`TCX_INGRESS`] or [`TCX_EGRESS`].
    pub attach_type: u32,
}

/// Looks at a tcx link.
///
/// # Errors
/// The kernel's.
pub fn link_info(link: BorrowedFd<'_>) -> io::Result<LinkInfo> {
    // struct bpf_link_info: type, id, prog_id, and at 16 bytes what is told of a tcx link.
    let words = info(link)?;
    Ok(LinkInfo { id: words[1], program: words[2], ifindex: words[4], attach_type: words[5] })
}

/// Lets this process hold this many descriptors, or as many as it may; returns how many that is.
///
/// # Errors
/// The kernel's.
pub fn allow_descriptors(wanted: u64) -> io::Result<u64> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the structure is live and of the type that the call fills.
    if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) } < 0 {
        return Err(io::Error::last_os_error());
    }
    let attempts = [wanted.max(limit.rlim_max), limit.rlim_max]
        .map(|rlim_max| libc::rlimit { rlim_cur: wanted.max(limit.rlim_cur).min(rlim_max), rlim_max });
    for attempt in attempts {
        // SAFETY: the structure is live and initialized.
        if unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const attempt) } == 0 {
            return Ok(attempt.rlim_cur);
        }
    }
    Ok(limit.rlim_cur)
}

fn c_path(path: &Path) -> io::Result<CString> {
    CString::new(path.as_os_str().as_bytes()).map_err(io::Error::other)
}

/// Gives a BPF object a name in a bpffs; it lives as long as the name.
///
/// # Errors
/// The kernel's.
pub fn pin(object: BorrowedFd<'_>, path: &Path) -> io::Result<()> {
    let path = c_path(path)?;
    let mut attr = Attr::default();
    attr.words[0] = path.as_ptr() as u64;
    attr.words[1] = u64::from(object.as_raw_fd().unsigned_abs());
    bpf(OBJ_PIN, &mut attr).map(drop)
}

/// The BPF object of a name in a bpffs.
///
/// # Errors
/// The kernel's.
pub fn open_pinned(path: &Path) -> io::Result<OwnedFd> {
    let path = c_path(path)?;
    let mut attr = Attr::default();
    attr.words[0] = path.as_ptr() as u64;
    let fd = bpf(OBJ_GET, &mut attr)?;
    // SAFETY: the kernel has just given this descriptor to us alone.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

/// What a test run of a program returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TestRun {
    /// Its return value.
    pub action: i32,
    /// Average duration of a run, in nanoseconds.
    pub duration_ns: u32,
}

/// Runs a tc program on a frame with a mark, as if it had come in at an interface of the calling thread's network
/// namespace.
///
/// # Errors
/// The kernel's.
pub fn test_run(
    program: BorrowedFd<'_>,
    (frame, mark): (&[u8], u32),
    ifindex: u32,
    repeat: u32,
) -> io::Result<TestRun> {
    // struct __sk_buff: `mark` is the 3rd and `ifindex` the 11th of its 32-bit fields; the rest stays zero.
    let mut context = [0_u32; 48];
    context[2] = mark;
    context[10] = ifindex;
    let mut attr = Attr::default();
    attr.words[0] = u64::from(program.as_raw_fd().unsigned_abs());
    attr.words[1] = frame.len() as u64;
    attr.words[2] = frame.as_ptr() as u64;
    attr.words[4] = u64::from(repeat);
    attr.words[5] = size_of_val(&context) as u64;
    attr.words[6] = context.as_ptr() as u64;
    bpf(PROG_TEST_RUN, &mut attr)?;
    let action = (attr.words[0] >> 32) as u32;
    Ok(TestRun { action: action.cast_signed(), duration_ns: (attr.words[4] >> 32) as u32 })
}

/// Waits until every program that is running now has ended.
///
/// # Errors
/// The kernel's; it has had the call since Linux 4.3.
pub fn wait_for_running_programs() -> io::Result<()> {
    const GLOBAL: i32 = 1;
    // SAFETY: no pointers are passed.
    let result = unsafe { libc::syscall(libc::SYS_membarrier, GLOBAL, 0, 0) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// An array map in this process's memory. The kernel keeps the memory when the process ends.
pub struct Shared<T: Plain> {
    start: NonNull<u8>,
    bytes: usize,
    stride: usize,
    len: usize,
    kind: std::marker::PhantomData<T>,
}

// SAFETY: the mapping belongs to the value and is shared memory; all access is by copies and atomics.
unsafe impl<T: Plain> Send for Shared<T> {}

impl<T: Plain> Shared<T> {
    /// Maps an array of this many elements.
    ///
    /// # Errors
    /// The kernel's.
    pub fn map(map: BorrowedFd<'_>, len: usize) -> io::Result<Self> {
        // Elements are eight-byte aligned, except that the one huge element of the store is its own size.
        let stride = size_of::<T>().next_multiple_of(8);
        Self::map_with_stride(map, len, stride)
    }

    /// Maps the words of the one huge element of the policy store.
    ///
    /// # Errors
    /// The kernel's.
    pub fn map_dense(map: BorrowedFd<'_>, len: usize) -> io::Result<Self> {
        Self::map_with_stride(map, len, size_of::<T>())
    }

    fn map_with_stride(map: BorrowedFd<'_>, len: usize, stride: usize) -> io::Result<Self> {
        let bytes = (stride * len).next_multiple_of(4096);
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a fresh mapping chosen by the kernel; the length is the map's.
        let start = unsafe { libc::mmap(ptr::null_mut(), bytes, protection, libc::MAP_SHARED, map.as_raw_fd(), 0) };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let start = NonNull::new(start.cast()).ok_or_else(io::Error::last_os_error)?;
        Ok(Self { start, bytes, stride, len, kind: std::marker::PhantomData })
    }

    /// How many elements there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    fn at(&self, index: usize, offset: usize, size: usize) -> *mut u8 {
        assert!(index < self.len && offset + size <= self.stride, "element {index} + {offset} of {}", self.len);
        // SAFETY: just checked to lie within the mapping.
        unsafe { self.start.as_ptr().add(index * self.stride + offset) }
    }

    /// A copy of an element.
    #[must_use]
    pub fn get(&self, index: usize) -> T {
        // SAFETY: in bounds, aligned to eight, and valid for any bytes.
        unsafe { ptr::read_volatile(self.at(index, 0, size_of::<T>()).cast()) }
    }

    /// Writes an element that no program looks at yet, or whose parts may be seen one by one.
    pub fn set(&mut self, index: usize, value: T) {
        // SAFETY: in bounds and aligned to eight; `&mut self` keeps other writers of this process out.
        unsafe { ptr::write_volatile(self.at(index, 0, size_of::<T>()).cast(), value) };
    }

    /// Writes a run of elements that no program looks at yet.
    pub fn set_run(&mut self, index: usize, values: &[T]) {
        assert_eq!(self.stride, size_of::<T>(), "a run needs elements without a gap");
        if let Some(last) = values.len().checked_sub(1) {
            self.at(index + last, 0, size_of::<T>());
            let to = self.at(index, 0, size_of::<T>()).cast();
            // SAFETY: first and last element were just checked; the slices cannot overlap.
            unsafe { ptr::copy_nonoverlapping(values.as_ptr(), to, values.len()) };
        }
    }

    /// A copy of a run of elements.
    #[must_use]
    pub fn get_run(&self, index: usize, count: usize) -> Vec<T> {
        (index..index + count).map(|index| self.get(index)).collect()
    }

    /// Writes an element from an offset on, four bytes at a time and only those that differ: a program sees
    /// each old or new.
    pub fn store_from(&mut self, index: usize, offset: usize, value: &T) {
        let size = size_of::<T>();
        assert_eq!((offset % 4, size % 4), (0, 0), "only aligned stores are seen whole");
        for at in (offset..size).step_by(4) {
            // SAFETY: within `value`, which is plain bytes.
            let word: u32 = unsafe { ptr::read_unaligned(ptr::from_ref(value).cast::<u8>().add(at).cast()) };
            // SAFETY: `at` checks the bounds; the place is aligned to four.
            let place = unsafe { AtomicU32::from_ptr(self.at(index, at, 4).cast()) };
            if place.load(Ordering::Relaxed) != word {
                place.store(word, Ordering::SeqCst);
            }
        }
    }

    /// Stores eight bytes of an element at once; a program sees the old ones or these.
    pub fn store_u64(&mut self, index: usize, offset: usize, value: u64) {
        let at = self.at(index, offset, 8);
        assert_eq!(offset % 8, 0, "only aligned stores are seen whole");
        // SAFETY: in bounds and aligned.
        unsafe { AtomicU64::from_ptr(at.cast()) }.store(value, Ordering::SeqCst);
    }

    /// Adds to four bytes of an element at once, whoever else does; returns what was there.
    pub fn add_i32(&self, index: usize, offset: usize, more: i32) -> i32 {
        let at = self.at(index, offset, 4);
        assert_eq!(offset % 4, 0, "only aligned stores are seen whole");
        // SAFETY: in bounds and aligned.
        unsafe { AtomicI32::from_ptr(at.cast()) }.fetch_add(more, Ordering::SeqCst)
    }

    /// Stores two bytes of an element at once.
    pub fn store_u16(&mut self, index: usize, offset: usize, value: u16) {
        let at = self.at(index, offset, 2);
        assert_eq!(offset % 2, 0, "only aligned stores are seen whole");
        // SAFETY: in bounds and aligned.
        unsafe { AtomicU16::from_ptr(at.cast()) }.store(value, Ordering::SeqCst);
    }

    /// Stores four bytes of an element at once.
    pub fn store_u32(&mut self, index: usize, offset: usize, value: u32) {
        let at = self.at(index, offset, 4);
        assert_eq!(offset % 4, 0, "only aligned stores are seen whole");
        // SAFETY: in bounds and aligned.
        unsafe { AtomicU32::from_ptr(at.cast()) }.store(value, Ordering::SeqCst);
    }
}

impl<T: Plain> Drop for Shared<T> {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours and nothing refers to it any more.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.bytes) };
    }
}

/// The cookie of the calling thread's network namespace, as programs see it.
///
/// # Errors
/// The kernel's.
pub fn netns_cookie() -> io::Result<u64> {
    const SO_NETNS_COOKIE: i32 = 71;
    let socket = std::net::UdpSocket::bind(("127.0.0.1", 0)).or_else(|_| std::net::UdpSocket::bind(("::", 0)))?;
    let mut cookie = 0_u64;
    let mut length = size_of::<u64>() as libc::socklen_t;
    // SAFETY: the two out-pointers are live and of the sizes given.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            SO_NETNS_COOKIE,
            ptr::from_mut(&mut cookie).cast(),
            &raw mut length,
        )
    };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(cookie) }
}

#[cfg(test)]
mod tests;
