//! A request as rules see it. Shards match with it, and explanations too, so that what is explained is what is done.

use std::net::IpAddr;

use crate::http::RequestHead;
use crate::rules;

/// What rules may ask about: a head, and who sent it.
pub(crate) struct RouteRequest<'a> {
    head: &'a RequestHead,
    host: &'a str,
    client: IpAddr,
}

impl<'a> RouteRequest<'a> {
    #[inline]
    pub(crate) fn new(head: &'a RequestHead, client: IpAddr) -> Self {
        Self {
            head,
            host: std::str::from_utf8(head.host()).unwrap_or_default(),
            client,
        }
    }
}

impl rules::Request for RouteRequest<'_> {
    fn host(&self) -> &str {
        self.host
    }

    fn path(&self) -> &[u8] {
        self.head.route_path()
    }

    fn query(&self) -> Option<&[u8]> {
        self.head.query()
    }

    fn method(&self) -> &[u8] {
        self.head.method_bytes()
    }

    fn any_header<F: FnMut(&[u8]) -> bool>(&self, name: &str, mut accept: F) -> bool {
        let mut fields = self.head.fields.iter();
        fields.any(|(field, value)| field.eq_ignore_ascii_case(name.as_bytes()) && accept(value))
    }

    fn client_ip(&self) -> IpAddr {
        self.client
    }
}
