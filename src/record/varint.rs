//! Zigzag varints, the numbers inside records: small magnitudes of either sign take few bytes.

/// Takes an int32 off the front; `None` if the bytes end or do not stop where a 32-bit number must.
pub(super) fn take_i32(input: &mut &[u8]) -> Option<i32> {
    let raw = take_u64(input, 5)?;
    let raw = u32::try_from(raw).ok()?;
    Some((raw >> 1) as i32 ^ -((raw & 1) as i32))
}

/// Takes an int64 off the front.
pub(super) fn take_i64(input: &mut &[u8]) -> Option<i64> {
    let raw = take_u64(input, 10)?;
    Some((raw >> 1) as i64 ^ -((raw & 1) as i64))
}

fn take_u64(input: &mut &[u8], bytes_max: usize) -> Option<u64> {
    let mut value = 0;
    for place in 0..bytes_max {
        let (&byte, rest) = input.split_first()?;
        *input = rest;
        let bits = u64::from(byte & 0x7f) << (7 * place);
        if place == 9 && byte > 1 {
            return None; // bits beyond the 64th
        }
        value |= bits;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

pub(super) fn put_i32(out: &mut Vec<u8>, value: i32) {
    put_i64(out, i64::from(value));
}

pub(super) fn put_i64(out: &mut Vec<u8>, value: i64) {
    let mut raw = zigzag(value);
    while raw >= 0x80 {
        out.push(raw as u8 | 0x80);
        raw >>= 7;
    }
    out.push(raw as u8);
}

/// How many bytes `put_i64` writes.
pub(super) fn size(value: i64) -> usize {
    let bits = 64 - (zigzag(value) | 1).leading_zeros() as usize;
    bits.div_ceil(7)
}

fn zigzag(value: i64) -> u64 {
    (value << 1 ^ value >> 63) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_kafka_writes_them() {
        for (value, bytes) in [
            (0, &[0_u8][..]),
            (-1, &[1]),
            (1, &[2]),
            (63, &[0x7e]),
            (-64, &[0x7f]),
            (64, &[0x80, 1]),
            (i64::from(i32::MIN), &[0xff, 0xff, 0xff, 0xff, 0x0f]),
            (i64::MAX, &[0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1]),
        ] {
            let mut out = Vec::new();
            put_i64(&mut out, value);
            assert_eq!(out, bytes, "{value}");
            assert_eq!(size(value), bytes.len(), "{value}");
            assert_eq!(take_i64(&mut &out[..]), Some(value));
            assert_eq!(take_i32(&mut &out[..]), i32::try_from(value).ok(), "{value}");
        }
    }

    #[test]
    fn a_number_that_does_not_end_or_does_not_fit_is_none() {
        assert_eq!(take_i32(&mut &[0x80, 0x80][..]), None);
        assert_eq!(take_i32(&mut &[0xff; 6][..]), None);
        assert_eq!(take_i32(&mut &[0xff, 0xff, 0xff, 0xff, 0x1f][..]), None, "33 bits");
        assert_eq!(take_i64(&mut &[0xff; 11][..]), None);
        assert_eq!(take_i64(&mut &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2][..]), None, "65 bits");
    }
}
