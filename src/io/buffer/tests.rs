//! Blocks come back, and views stay within their blocks.

use super::*;

fn pool() -> Pool {
    Pool::new(1 << 20, 1 << 20)
}

#[test]
fn a_block_returns_to_the_pool_with_its_last_view() {
    let pool = pool();
    let mut buffer = Buffer::new(&pool, 4096);
    buffer.extend_from_slice(b"hello world");
    let address = buffer.as_ptr();
    let mut chunk = buffer.freeze();
    let head = chunk.split_to(5);
    assert_eq!((&*head, &*chunk), (&b"hello"[..], &b" world"[..]));
    drop(chunk);
    assert_eq!(pool.in_use().0, 1, "the head still views the block");
    drop(head);
    assert_eq!(pool.in_use(), (0, 0));
    assert_eq!(
        Buffer::new(&pool, 4096).as_ptr(),
        address,
        "the same block again"
    );
}

#[test]
fn a_chunk_outlives_its_pool() {
    let pool = pool();
    let mut buffer = Buffer::new(&pool, 4096);
    buffer.extend_from_slice(b"late");
    drop(pool);
    buffer.extend_from_slice(&[b'x'; 100_000]);
    let chunk = buffer.freeze();
    let copy = chunk.clone();
    drop(chunk);
    assert_eq!(&copy[..4], b"late");
}

#[test]
fn growing_keeps_the_bytes_and_uses_larger_blocks() {
    let pool = pool();
    let mut buffer = Buffer::new(&pool, 4096);
    let bytes: Vec<u8> = (0..200_000u32).map(|n| n as u8).collect();
    for piece in bytes.chunks(777) {
        buffer.extend_from_slice(piece);
    }
    assert_eq!(&*buffer, &bytes[..]);
    drop(buffer);
    assert_eq!(pool.in_use(), (0, 0));
}

#[test]
fn spare_memory_stays_within_its_limit() {
    let pool = Pool::new(8192, 1 << 20);
    let blocks: Vec<_> = (0..10).map(|_| pool.take(4096)).collect();
    drop(blocks);
    assert_eq!(pool.state().spare_bytes.get(), 8192);
}

#[test]
fn receive_buffers_are_refused_above_the_limit_but_serialising_is_not() {
    let pool = Pool::new(0, 8192);
    let held: Vec<_> = (0..2).filter_map(|_| pool.take_for_receive(4096)).collect();
    assert_eq!(held.len(), 2);
    assert!(pool.take_for_receive(4096).is_none());
    let mut buffer = Buffer::new(&pool, 4096);
    buffer.push(1);
    drop((held, buffer));
    assert!(pool.take_for_receive(4096).is_some());
    assert!(pool.take_for_body(4096).is_some());
    assert!(
        pool.take_for_body(8192).is_none(),
        "a quarter is left to heads"
    );
}

#[test]
fn appending_in_place_needs_room_and_a_single_view() {
    let pool = pool();
    let mut buffer = Buffer::new(&pool, 4096);
    buffer.extend_from_slice(b"abc");
    let mut chunk = buffer.freeze();
    chunk.advance(1);
    assert!(chunk.try_append(b"def"));
    assert_eq!(&*chunk, b"bcdef");
    let view = chunk.clone();
    assert!(!chunk.try_append(b"g"), "shared");
    drop(view);
    assert!(!chunk.try_append(&[0; 4096]), "no room");
    assert!(!Chunk::from_static(b"s").try_append(b"t"));
    assert!(!Chunk::from_vec(Vec::with_capacity(64)).try_append(b"t"));
}

#[test]
fn splits_and_cuts_beyond_the_end_take_what_is_there() {
    let mut chunk = Chunk::from_vec(b"0123456789".to_vec());
    assert_eq!(&*chunk.split_to(4), b"0123");
    chunk.truncate(100);
    chunk.advance(2);
    assert_eq!(&*chunk.split_to(100), b"6789");
    assert!(chunk.is_empty());
    chunk.advance(5);
    assert_eq!(chunk.len(), 0);
}

#[test]
fn resize_fills_with_zeros_and_shrinks() {
    let mut buffer = Buffer::unpooled();
    buffer.extend_from_slice(b"ab");
    buffer.resize(4);
    assert_eq!(&*buffer, b"ab\0\0");
    buffer.as_mut_slice()[3] = b'z';
    buffer.resize(1);
    assert_eq!(&*buffer.freeze(), b"a");
}
