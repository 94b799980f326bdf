//! One changed bit in anything that a request means, and it is not believed.

use sekimori_cloud::ecs::Call;
use sekimori_core::time::Timestamp;

use crate::requests::{Recorded, SECRET, all};

/// 2026-11-23T18:32:41Z: when the requests were recorded.
const THEN: Timestamp = Timestamp(1_795_458_761);

/// Whether a request is believed with the key it was recorded with.
fn is_believed(recorded: &Recorded) -> bool {
    Call::parse(&recorded.raw(), "R-1")
        .is_ok_and(|call| call.key_id().as_str() == "LTAI5tSekimoriTest" && call.verify(SECRET, THEN).is_ok())
}

/// Every text of ASCII that differs from this one in one bit.
fn one_bit_off(text: &str) -> impl Iterator<Item = String> + '_ {
    let flips = (0..text.len()).flat_map(|at| (0..7).map(move |bit| (at, bit)));
    flips.map(|(at, bit)| {
        let mut bytes = text.as_bytes().to_vec();
        bytes[at] ^= 1 << bit;
        String::from_utf8(bytes).unwrap()
    })
}

/// A changed text may still mean the same (`%2f` for `%2F`). Then, and only then, it may be believed.
fn check(original: &Recorded, tampered: &Recorded) {
    if !is_believed(tampered) {
        return;
    }
    let params = |recorded: &Recorded| Call::parse(&recorded.raw(), "R-1").unwrap().params().clone();
    assert_eq!(params(tampered), params(original), "{tampered:?}");
    assert_eq!(tampered.headers, original.headers, "{tampered:?}");
}

#[test]
fn a_changed_query_or_form_is_not_believed() {
    for original in all() {
        assert!(is_believed(&original), "{}", original.name);
        for query in one_bit_off(&original.query) {
            check(&original, &Recorded { query, ..original.clone() });
        }
        let body = String::from_utf8(original.body.clone()).unwrap();
        for body in one_bit_off(&body) {
            check(&original, &Recorded { body: body.into_bytes(), ..original.clone() });
        }
    }
}

#[test]
fn a_changed_signed_header_is_not_believed() {
    let acs3 = all().into_iter().filter(|recorded| recorded.name.starts_with("acs3-"));
    for original in acs3 {
        let signed = |name: &str| {
            name.starts_with("x-acs-") || matches!(name, "accept" | "host" | "user-agent" | "authorization")
        };
        for at in (0..original.headers.len()).filter(|at| signed(&original.headers[*at].0)) {
            for value in one_bit_off(&original.headers[at].1) {
                let mut tampered = original.clone();
                tampered.headers[at].1 = value;
                assert!(!is_believed(&tampered), "{tampered:?}");
            }
        }
    }
}

#[test]
fn what_is_added_or_taken_away_is_not_believed() {
    for original in all() {
        let name = &original.name;
        let more = Recorded { query: format!("{}&Amount=100", original.query), ..original.clone() };
        assert!(!is_believed(&more), "{name}: a parameter was added");
        let post = Recorded { method: "POST".to_owned(), ..original.clone() };
        assert!(original.method == "POST" || !is_believed(&post), "{name}: the method was changed");
        if name.starts_with("acs3-") {
            let body = Recorded { body: b"Amount=100".to_vec(), ..original.clone() };
            assert!(!is_believed(&body), "{name}: a body was added");
        }
        let mut form = Recorded { body: b"Amount=100".to_vec(), ..original.clone() };
        form.headers.push(("content-type".to_owned(), "application/x-www-form-urlencoded".to_owned()));
        assert!(!is_believed(&form), "{name}: a form was added");
        let mut plain = original.clone();
        plain.headers.retain(|(header, _)| header != "content-type");
        assert!(original.body.is_empty() || !is_believed(&plain), "{name}: the form was hidden");
    }
}
