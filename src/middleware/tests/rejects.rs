//! ipAllowList.

use super::*;

fn run(filter: &str, fields: &[&str]) -> Option<(u16, String)> {
    let answer =
        Shard::new().request(&[middleware(filter)], &mut Exchange::new("GET /", fields))?;
    assert!(answer.fields.is_empty());
    Some((answer.status, text(&answer.body)))
}

#[test]
fn clients_outside_the_ranges_are_refused() {
    for (options, fields, expected) in [
        ("sourceRange: [127.0.0.1/32]", &[][..], None),
        ("sourceRange: [10.0.0.0/8, 127.0.0.1]", &[], None),
        ("sourceRange: [10.0.0.0/8]", &[], Some((403, "Forbidden"))),
        (
            "sourceRange: [10.0.0.0/8], rejectStatusCode: 404",
            &[],
            Some((404, "Not Found")),
        ),
        (
            "sourceRange: [10.0.0.0/8], rejectStatusCode: 418",
            &[],
            Some((418, "I'm a teapot")),
        ),
        (
            "sourceRange: [10.0.0.0/8], rejectStatusCode: 200",
            &[],
            Some((200, "OK")),
        ),
        (
            "sourceRange: [10.0.0.0/8], rejectStatusCode: 204",
            &[],
            Some((204, "")),
        ),
        (
            "sourceRange: [1.2.3.4], ipStrategy: {depth: 1}",
            &["X-Forwarded-For: 1.2.3.4"],
            None,
        ),
        (
            "sourceRange: [1.2.3.4], ipStrategy: {depth: 1}",
            &["X-Forwarded-For: 1.2.3.4, 5.6.7.8"],
            Some((403, "Forbidden")),
        ),
        (
            "sourceRange: [127.0.0.1], ipStrategy: {depth: 1}",
            &[],
            Some((403, "Forbidden")),
        ),
        (
            "sourceRange: [1.2.3.4], ipStrategy: {excludedIPs: [5.6.7.8]}",
            &["X-Forwarded-For: 1.2.3.4, 5.6.7.8"],
            None,
        ),
        (
            "sourceRange: ['2001:db8::/128'], ipStrategy: {depth: 1, ipv6Subnet: 64}",
            &["X-Forwarded-For: 2001:db8::1234"],
            None,
        ),
        (
            "sourceRange: [127.0.0.1], ipStrategy: {}",
            &["X-Forwarded-For: 1.2.3.4"],
            None,
        ),
    ] {
        let expected = expected.map(|(status, body)| (status, body.to_owned()));
        assert_eq!(
            run(&format!("{{ipAllowList: {{{options}}}}}"), fields),
            expected,
            "{options} {fields:?}"
        );
    }
    let old_name = run("{ipWhiteList: {sourceRange: [10.0.0.0/8]}}", &[]);
    assert_eq!(old_name, Some((403, "Forbidden".to_owned())));
}
