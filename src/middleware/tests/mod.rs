//! Tables of what filters do to requests and responses, in the words of a configuration file. The
//! expectations are what Traefik 3.7.15 was observed to do, except where a comment says otherwise.

mod auth;
mod compile;
mod headers;
mod paths;
mod redirects;
mod rejects;

use std::net::IpAddr;

use super::*;
use crate::config::decode::{Decode, How, Path};
use crate::config::format::{Format, parse};
use crate::http::{FieldName, Method, TargetForm, Token};

/// Compiles `{addPrefix: {prefix: /a}}`.
fn compiled(yaml: &str) -> Result<Middleware, String> {
    compile(&config(yaml), &mut |path| match path {
        "users" => Ok("# comment\n\n  bob:$apr1$abcdefgh$5VEbMkemELfbhC5ck.U.z1  \n".into()),
        _ => Err(std::io::ErrorKind::NotFound.into()),
    })
    .map_err(|error| error.to_string())
}

fn middleware(yaml: &str) -> Middleware {
    compiled(yaml).unwrap_or_else(|error| panic!("{yaml}: {error}"))
}

/// What a client sees of a shard, with the memory that lives from request to request.
struct Shard {
    regex: RegexCaches,
    memory: FilterMemory,
    client_ip: IpAddr,
    secure: bool,
}

/// One exchange: the head, and what filters keep beside it.
struct Exchange {
    rq: RequestHead,
    path: PathMarks,
    username: String,
}

impl Shard {
    fn new() -> Shard {
        Shard {
            regex: RegexCaches::new(),
            memory: FilterMemory::new([1; 32]),
            client_ip: IpAddr::from([127, 0, 0, 1]),
            secure: false,
        }
    }

    fn secure() -> Shard {
        Shard {
            secure: true,
            ..Shard::new()
        }
    }

    /// Runs `filters` on a request; jobs run on the spot.
    fn request(
        &mut self,
        filters: &[Middleware],
        exchange: &mut Exchange,
    ) -> Option<LocalResponse> {
        for filter in filters {
            loop {
                match filter.request(
                    &mut exchange.rq,
                    &mut context(self, &mut exchange.path, &mut exchange.username),
                ) {
                    Verdict::Continue => break,
                    Verdict::Respond(response) => return Some(response),
                    Verdict::Verify(job) => {
                        let (key, work) = job.into_parts();
                        let good = work();
                        self.memory.auth.remember(key, good);
                    }
                }
            }
        }
        None
    }

    fn response(&mut self, filters: &[Middleware], exchange: &mut Exchange, rs: &mut ResponseHead) {
        for filter in filters.iter().rev() {
            let rq = &exchange.rq;
            let mut cx = FilterContext {
                client_ip: self.client_ip,
                secure: self.secure,
                regex: &mut self.regex,
                memory: &mut self.memory,
                path: &mut exchange.path,
                username: &mut exchange.username,
            };
            filter.response(rq, rs, &mut cx);
        }
    }
}

fn context<'a>(
    shard: &'a mut Shard,
    path: &'a mut PathMarks,
    username: &'a mut String,
) -> FilterContext<'a> {
    FilterContext {
        client_ip: shard.client_ip,
        secure: shard.secure,
        regex: &mut shard.regex,
        memory: &mut shard.memory,
        path,
        username,
    }
}

impl Exchange {
    /// A request line without version, and field lines; `Host` is `h.test` unless given.
    fn new(line: &str, fields: &[&str]) -> Exchange {
        let (method, target) = line.split_once(' ').unwrap();
        let mut rq = RequestHead::build(Method::Get, target.as_bytes(), b"h.test").unwrap();
        if target == "*" {
            rq.target_form = TargetForm::Asterisk;
        }
        rq.set_method(method.as_bytes());
        for field in fields {
            let (name, value) = field.split_once(": ").unwrap();
            match name {
                "Host" => rq.set_authority(value.as_bytes()),
                name => rq
                    .fields
                    .append(&FieldName::parse(name).unwrap(), value.as_bytes()),
            }
        }
        Exchange {
            rq,
            path: PathMarks::default(),
            username: String::new(),
        }
    }

    /// Path and query as they would be sent.
    fn target(&self) -> String {
        let query = self
            .rq
            .query()
            .map(|q| format!("?{}", text(q)))
            .unwrap_or_default();
        text(self.rq.path()) + &query
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Fields as sorted `name: value` lines, names in lower case.
fn lines(fields: &Fields) -> Vec<String> {
    let mut lines: Vec<String> = fields
        .iter()
        .map(|(n, v)| format!("{}: {}", text(n).to_lowercase(), text(v)))
        .collect();
    lines.sort();
    lines
}

fn config(yaml: &str) -> HttpMiddleware {
    let mut errors = Vec::new();
    let document = parse(Format::Yaml, yaml).unwrap_or_else(|error| panic!("{yaml}: {error}"));
    let config = HttpMiddleware::decode(&document.tree, How::Element, &Path::ROOT, &mut errors);
    assert!(errors.is_empty(), "{yaml}: {errors:?}");
    config.unwrap()
}
