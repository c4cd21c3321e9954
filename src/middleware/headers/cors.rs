//! Cross-origin resource sharing: answering preflights, and the fields of other responses (the Fetch
//! standard's CORS protocol, as Traefik applies it).

use crate::config::dynamic::middleware as config;
use crate::http::{Fields, Method, RequestHead, Token};
use crate::middleware::{FieldError, FilterContext, LocalResponse};
use crate::rules::GroupRegex;

#[derive(Debug)]
pub(super) struct Cors {
    credentials: bool,
    origins: Box<[Box<[u8]>]>,
    origin_expressions: Box<[GroupRegex]>,
    allow_headers: Allowed,
    allow_methods: Allowed,
    expose_headers: Option<Box<[u8]>>,
    max_age: Option<Box<[u8]>>,
    add_vary: bool,
}

/// What a preflight's answer allows.
#[derive(Debug)]
enum Allowed {
    /// Say nothing.
    Unset,
    /// Repeat what the request asks for: `*` has no meaning together with credentials.
    Echo,
    List(Box<[u8]>),
}

impl Cors {
    /// `None` if no CORS option is set.
    pub fn compile(config: &config::Headers) -> Result<Option<Cors>, FieldError> {
        let set = config.access_control_allow_credentials
            || !config.access_control_allow_headers.is_empty()
            || !config.access_control_allow_methods.is_empty()
            || !config.access_control_allow_origin_list.is_empty()
            || !config.access_control_allow_origin_list_regex.is_empty()
            || !config.access_control_expose_headers.is_empty()
            || config.access_control_max_age.is_some()
            || config.add_vary_header;
        if !set {
            return Ok(None);
        }
        let credentials = config.access_control_allow_credentials;
        let expressions = config.access_control_allow_origin_list_regex.iter();
        let expressions = expressions
            .map(|text| GroupRegex::compile(text))
            .collect::<Result<_, _>>();
        let origins = config.access_control_allow_origin_list.iter();
        let exposed = &config.access_control_expose_headers;
        // `*` has no meaning together with credentials.
        let exposed = Some(exposed).filter(|list| !list.is_empty());
        let exposed = exposed.filter(|list| !credentials || !has_star(list));
        Ok(Some(Cors {
            credentials,
            origins: origins.map(|origin| origin.as_bytes().into()).collect(),
            origin_expressions: expressions
                .map_err(|e| FieldError::new("accessControlAllowOriginListRegex", e))?,
            allow_headers: Allowed::compile(&config.access_control_allow_headers, credentials),
            allow_methods: Allowed::compile(&config.access_control_allow_methods, credentials),
            expose_headers: exposed.map(|list| list.join(",").into_bytes().into()),
            max_age: config
                .access_control_max_age
                .map(|age| age.to_string().into_bytes().into()),
            add_vary: config.add_vary_header,
        }))
    }

    /// The answer to a preflight; `None` if the request is none.
    pub fn preflight(&self, rq: &RequestHead, cx: &mut FilterContext<'_>) -> Option<LocalResponse> {
        if rq.method != Method::Options {
            return None;
        }
        let get = |token| {
            rq.fields
                .get(token)
                .filter(|value: &&[u8]| !value.is_empty())
        };
        let method = get(Token::AccessControlRequestMethod)?;
        let origin = get(Token::Origin)?;
        let mut fields = std::mem::take(&mut cx.memory.spare);
        fields.clear();
        if self.credentials {
            fields.append(&Token::AccessControlAllowCredentials, b"true");
        }
        let asked = get(Token::AccessControlRequestHeaders);
        if let Some(headers) = self.allow_headers.answer(asked) {
            fields.append(&Token::AccessControlAllowHeaders, headers);
        }
        if let Some(methods) = self.allow_methods.answer(Some(method)) {
            fields.append(&Token::AccessControlAllowMethods, methods);
        }
        if let Some(origin) = self.allowed_origin(origin, cx) {
            fields.append(&Token::AccessControlAllowOrigin, origin);
        }
        if let Some(age) = &self.max_age {
            fields.append(&Token::AccessControlMaxAge, age);
        }
        if let Some(exposed) = &self.expose_headers {
            fields.append(&Token::AccessControlExposeHeaders, exposed);
        }
        Some(LocalResponse {
            fields,
            ..LocalResponse::empty(200)
        })
    }

    /// The fields of a response.
    pub fn response(&self, rq: &RequestHead, fields: &mut Fields, cx: &mut FilterContext<'_>) {
        let origin = rq.fields.get(Token::Origin).unwrap_or_default();
        if let Some(origin) = self.allowed_origin(origin, cx) {
            fields.set(&Token::AccessControlAllowOrigin, origin);
        }
        if self.credentials {
            fields.set(&Token::AccessControlAllowCredentials, b"true");
        }
        if let Some(exposed) = &self.expose_headers {
            fields.set(&Token::AccessControlExposeHeaders, exposed);
        }
        if self.add_vary {
            let buffer = &mut cx.memory.scratch.output;
            buffer.clear();
            match fields.get(Token::Vary) {
                Some(b"Origin") => return,
                Some(vary) if !vary.is_empty() => {
                    buffer.extend_from_slice(vary);
                    buffer.push(b',');
                }
                _ => {}
            }
            buffer.extend_from_slice(b"Origin");
            fields.set(&Token::Vary, buffer);
        }
    }

    /// What `Access-Control-Allow-Origin` says to a request of `origin`.
    fn allowed_origin<'o>(
        &'o self,
        origin: &'o [u8],
        cx: &mut FilterContext<'_>,
    ) -> Option<&'o [u8]> {
        for allowed in &self.origins {
            if **allowed == *origin {
                return Some(allowed);
            }
            if &**allowed == b"*" {
                return Some(if self.credentials { origin } else { allowed });
            }
        }
        let matches = |expression: &GroupRegex| expression.is_match(origin, cx.regex);
        self.origin_expressions
            .iter()
            .any(matches)
            .then_some(origin)
    }
}

impl Allowed {
    fn compile(list: &[Box<str>], credentials: bool) -> Allowed {
        match list {
            list if credentials && has_star(list) => Allowed::Echo,
            [] => Allowed::Unset,
            list => Allowed::List(list.join(",").into_bytes().into()),
        }
    }

    fn answer<'a>(&'a self, asked: Option<&'a [u8]>) -> Option<&'a [u8]> {
        match self {
            Allowed::Unset => None,
            Allowed::Echo => asked,
            Allowed::List(list) => Some(list),
        }
    }
}

fn has_star(list: &[Box<str>]) -> bool {
    list.iter().any(|item| &**item == "*")
}
