//! An image that follows random changes shows what a second, simple implementation makes of all keys at once.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry as Slot;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::config::dynamic::{self, Decoded, Object};
use crate::config::tree::{Branch, Entry as TreeEntry, Node, Value};

/// Everything in a store.
type Store = BTreeMap<Vec<u8>, Vec<u8>>;
type Changes = Vec<(Vec<u8>, Option<Vec<u8>>)>;

/// One node of the simple implementation.
#[derive(Default)]
struct Simple {
    name: String,
    text: Option<String>,
    below: Vec<Simple>,
}

impl Simple {
    fn put(&mut self, path: &[&str], text: Option<String>) {
        let Some((first, rest)) = path.split_first() else {
            if text.is_some() {
                self.text = text;
            }
            return;
        };
        let is_number = first.chars().all(|c| c.is_ascii_digit());
        let name = if is_number {
            format!("[{first}]")
        } else {
            (*first).to_owned()
        };
        let is_same = |child: &Self| child.name.to_lowercase() == name.to_lowercase();
        let place = self.below.iter().position(is_same).unwrap_or_else(|| {
            let name = name.clone();
            self.below.push(Self {
                name,
                ..Self::default()
            });
            self.below.len() - 1
        });
        self.below[place].put(rest, text);
    }

    fn node(&self) -> Node<'_> {
        if let (Some(text), true) = (&self.text, self.below.is_empty()) {
            return Node::scalar(text);
        }
        Node::new(Value::Branch(Box::new(Branch {
            text: self.text.as_deref().map(Into::into),
            below: self.entries(Self::node),
        })))
    }

    fn entries<'a>(&'a self, node: impl Fn(&'a Self) -> Node<'a>) -> Vec<TreeEntry<'a>> {
        let entry = |child: &'a Self| TreeEntry {
            key: child.name.as_str().into(),
            at: Position::NONE,
            node: node(child),
        };
        self.below.iter().map(entry).collect()
    }
}

/// What a whole store declares, by one tree of all of it. What is rejected before it is decoded has no errors here.
fn simply(store: &Store) -> BTreeMap<ObjectKey, Result<Object, Vec<ObjectError>>> {
    let mut bad = Vec::new();
    let mut lists: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut singles: BTreeMap<String, String> = BTreeMap::new();
    for (key, value) in store {
        let fragments: Vec<_> = key
            .split(|b| *b == b'/')
            .filter(|f| !f.is_empty())
            .collect();
        let top = fragments.iter().take(3).map(|f| str::from_utf8(f));
        let Ok(top) = top.collect::<Result<Vec<_>, _>>() else {
            continue;
        };
        if key.starts_with(b"/")
            || !["http", "tls"].contains(&top.first().unwrap_or(&"").to_lowercase().as_str())
        {
            continue;
        }
        let text = str::from_utf8(key).ok().zip(str::from_utf8(value).ok());
        if text.is_none() && top.len() == 3 {
            bad.push(top.join("/").to_lowercase());
        }
        // What is bad keeps its place, because the first key says how a name is spelt.
        let (key, value) = match text {
            Some((key, value)) => (key.to_owned(), value),
            None => (String::from_utf8_lossy(key).into_owned(), "bad"),
        };
        match key.rsplit_once('/') {
            Some((list, index))
                if !index.is_empty() && index.bytes().all(|b| b.is_ascii_digit()) =>
            {
                lists.entry(list.into()).or_default().push(value.into());
            }
            _ => {
                singles.insert(key, value.into());
            }
        }
    }
    for (list, values) in lists {
        singles.insert(list, values.join(","));
    }
    let mut top = Simple::default();
    for (key, value) in singles {
        let path: Vec<_> = key
            .split('/')
            .filter(|fragment| !fragment.is_empty())
            .collect();
        let is_folder = value.is_empty() && key.ends_with('/');
        top.put(&path, (!is_folder).then_some(value));
    }
    let mut tree = Node::map();
    let mut results = BTreeMap::new();
    for section in &mut top.below {
        for collection in &mut section.below {
            let Some(kind) = Kind::of_place(&section.name, &collection.name) else {
                continue;
            };
            collection.below.retain(|object| {
                let path = format!("{}/{}/{}", section.name, collection.name, object.name);
                let path = path.to_lowercase().replace(['[', ']'], "");
                let is_bad = bad.contains(&path);
                if is_bad {
                    results.insert(ObjectKey::new(kind, &*object.name), Err(Vec::new()));
                }
                !is_bad
            });
        }
    }
    for section in &top.below {
        for collection in &section.below {
            if let Some(kind) = Kind::of_place(&section.name, &collection.name)
                && !collection.below.is_empty()
            {
                let node = match kind {
                    Kind::TlsCertificate => collection.node(),
                    _ => Node::new(Value::Map(collection.entries(Simple::node))),
                };
                let (section, collection) = kind.place();
                *tree.field_mut(section).field_mut(collection) = node;
            }
        }
    }
    for (key, declared) in dynamic::decode(&tree, None).objects {
        let result = declared.result.map_err(|errors| errors.to_vec());
        results.insert(key, result);
    }
    if results.is_empty() {
        return simply_former(store);
    }
    results
}

fn simply_former(store: &Store) -> BTreeMap<ObjectKey, Result<Object, Vec<ObjectError>>> {
    let mut results = BTreeMap::new();
    for (key, value) in store {
        if let Some((name, "backend")) = str::from_utf8(key)
            .ok()
            .and_then(|key| key.strip_prefix("frontends/"))
            .and_then(|key| key.split_once('/'))
            && let Ok(value) = str::from_utf8(value)
        {
            let mut node = Node::map();
            node.insert("rule", Node::scalar(value));
            let result = dynamic::decode_object(Kind::HttpRouter, name, &node);
            results.insert(ObjectKey::new(Kind::HttpRouter, name), result);
        }
    }
    results
}

/// Makes routers of frontends whose rule is their backend.
fn convert(tree: &Node<'_>, _: &Context) -> Decoded {
    let mut routers = Node::map();
    for entry in tree
        .get("frontends")
        .and_then(Node::as_map)
        .unwrap_or_default()
    {
        if let Some(backend) = entry.node.get("backend").and_then(Node::as_scalar) {
            let mut router = Node::map();
            router.insert("rule", Node::scalar(backend.to_owned()));
            routers.insert(entry.key.to_string(), router);
        }
    }
    let mut http = Node::map();
    http.insert("http", {
        let mut node = Node::map();
        node.insert("routers", routers);
        node
    });
    dynamic::decode(&http, None)
}

fn image() -> Image {
    Image::with_converter(Limits::default(), convert, Arc::default())
}

/// What changed objects make of those that were there.
fn overlay(state: &mut Objects, changed: Objects) {
    for (key, entry) in changed {
        match entry {
            Entry::Absent => assert!(state.remove(&key).is_some(), "{key} was not there"),
            entry => match state.entry(key) {
                Slot::Vacant(slot) => {
                    slot.insert(entry);
                }
                Slot::Occupied(mut slot) => {
                    assert!(!is_same(slot.get(), &entry), "{} is as before", slot.key());
                    slot.insert(entry);
                }
            },
        }
    }
}

fn is_same(left: &Entry, right: &Entry) -> bool {
    match (left, right) {
        (Entry::Present(left), Entry::Present(right)) => left == right,
        (Entry::Rejected(left), Entry::Rejected(right)) => left == right,
        _ => false,
    }
}

fn assert_is(state: &Objects, store: &Store) {
    let expected = simply(store);
    let keys = |keys: Vec<&ObjectKey>| {
        keys.into_iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
    };
    assert_eq!(
        keys(state.keys().collect()),
        keys(expected.keys().collect()),
        "{}",
        described(store)
    );
    for (key, expected) in expected {
        match (&state[&key], &expected) {
            (Entry::Present(object), Ok(expected)) => assert_eq!(object, expected),
            (Entry::Rejected(errors), Err(expected)) => {
                assert!(
                    expected.is_empty() || **errors == *expected,
                    "{errors:?} {expected:?}"
                );
            }
            (entry, expected) => panic!("{key}: {entry:?}, {expected:?} of {}", described(store)),
        }
    }
}

fn described(store: &Store) -> String {
    let pairs = store.iter();
    let pairs =
        pairs.map(|(key, value)| format!("{} = {}", key.escape_ascii(), value.escape_ascii()));
    pairs.collect::<Vec<_>>().join("\n")
}

#[derive(Clone, Debug)]
enum Step {
    Put(Vec<u8>, Vec<u8>),
    /// The key at a place in what there is.
    Delete(usize),
    /// Everything of the object of the key at a place.
    DeleteObject(usize),
    /// The object of the key at a place, under a name in other case.
    Respell(usize),
}

impl Step {
    fn changes(&self, store: &Store) -> Changes {
        let object = |at: &usize| {
            let key = store.keys().nth(at % store.len().max(1));
            let parts = key.map(|key| {
                key.splitn(4, |b| *b == b'/')
                    .take(3)
                    .collect::<Vec<_>>()
                    .join(&b'/')
            });
            parts.unwrap_or_default()
        };
        let below = |prefix: Vec<u8>| {
            store
                .range(prefix.clone()..)
                .take_while(move |(key, _)| key.starts_with(&prefix))
        };
        match self {
            Self::Put(key, value) => vec![(key.clone(), Some(value.clone()))],
            Self::Delete(at) => {
                let key = store.keys().nth(at % store.len().max(1));
                key.map(|key| (key.clone(), None)).into_iter().collect()
            }
            Self::DeleteObject(at) => below(object(at))
                .map(|(key, _)| (key.clone(), None))
                .collect(),
            Self::Respell(at) => {
                let prefix = object(at);
                let length = prefix.len();
                let moved = below(prefix).flat_map(|(key, value)| {
                    let mut new = key.clone();
                    let name = new[..length]
                        .iter()
                        .rposition(|b| *b == b'/')
                        .map_or(0, |at| at + 1);
                    for byte in &mut new[name..length] {
                        *byte = if byte.is_ascii_lowercase() {
                            byte.to_ascii_uppercase()
                        } else {
                            byte.to_ascii_lowercase()
                        };
                    }
                    [(key.clone(), None), (new, Some(value.clone()))]
                });
                moved.collect()
            }
        }
    }
}

fn key() -> impl Strategy<Value = Vec<u8>> {
    let router = [
        "rule",
        "Rule",
        "service",
        "middlewares",
        "middlewares/",
        "middlewares/0",
        "middlewares/1",
        "middlewares/10",
        "middlewares/2",
        "Middlewares/0",
        "tls",
        "tls",
        "tls/",
        "tls/options",
        "TLS/domains/0/main",
        "tls/domains/0/sans/1",
        "tls/domains/10/sans",
        "priority",
        "",
        "/",
        "/rule",
        "rul",
        "5",
    ];
    let service = [
        "loadbalancer",
        "loadbalancer/servers/0/url",
        "loadbalancer/servers/0/weight",
        "loadbalancer/Servers/3/url",
        "loadbalancer/servers/10/url",
        "loadbalancer/servers/10/",
        "loadbalancer/servers/a-b/url",
        "loadBalancer/passhostheader",
        "loadbalancer/sticky/cookie",
        "loadbalancer/healthcheck",
        "loadbalancer/healthcheck/path",
        "weighted/services/0/name",
    ];
    let certificate = [
        "certfile", "certFile", "keyfile", "stores", "stores/0", "stores/1",
    ];
    let name = select(vec!["r", "R", "s", "7", "É", "é", "a-b", "a@b", ""]);
    let text = |parts: [&str; 4]| parts.join("/").into_bytes();
    prop_oneof![
        8 => (select(vec!["http", "http", "HTTP"]), select(vec!["routers", "routers", "Routers"]), name.clone(), select(router.to_vec()))
            .prop_map(move |(a, b, c, d)| text([a, b, c, d])),
        5 => (name, select(service.to_vec())).prop_map(move |(c, d)| text(["http", "services", c, d])),
        4 => (select(vec!["0", "1", "10", "x"]), select(certificate.to_vec()))
            .prop_map(move |(c, d)| text(["tls", "certificates", c, d])),
        2 => (select(vec!["f", "F"]), select(vec!["backend", "routes/r/rule"]))
            .prop_map(|(a, b)| format!("frontends/{a}/{b}").into_bytes()),
        2 => select(vec![
            &b"http"[..], b"http/routers", b"http/routers/", b"http/5", b"", b"/", b"alias", b"tls/n/entrypoints",
            b"http/routerz/r/rule", b"foo/bar", b"http/routers/\xff/rule", b"http/routers/r/\xff", b"/http/routers/r/rule",
        ]).prop_map(<[u8]>::to_vec),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let value = select(vec![
        &b""[..],
        b"true",
        b"false",
        b"a,b",
        b" x ",
        b"1",
        b"Host(`a`)",
        b"a.pem",
        b"a.pem",
        b"b.pem",
        b"\xff",
        b"-----BEGIN\nX",
    ]);
    prop_oneof![
        14 => (key(), value).prop_map(|(key, value)| Step::Put(key, value.to_vec())),
        5 => any::<usize>().prop_map(Step::Delete),
        1 => any::<usize>().prop_map(Step::DeleteObject),
        1 => any::<usize>().prop_map(Step::Respell),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn following_changes_comes_to_what_all_keys_at_once_come_to(
        transactions in vec((vec(step(), 1..8), any::<u64>()), 1..10),
    ) {
        let mut store = Store::new();
        let mut image = image();
        let mut state = Objects::new();
        for (steps, order) in transactions {
            let mut changes = Changes::new();
            let mut next = store.clone();
            for step in steps {
                for (key, value) in step.changes(&next) {
                    match &value {
                        Some(value) => next.insert(key.clone(), value.clone()),
                        None => next.remove(&key),
                    };
                    changes.push((key, value));
                }
            }
            store = next;
            // Sometimes a listing finds what has changed.
            let changed = if order % 4 == 0 {
                list(&mut image, &store, order)
            } else {
                image.apply(changes.into_iter()).unwrap()
            };
            overlay(&mut state, changed);
            assert_is(&state, &store);
            assert_eq!(image.len(), store.len());
            assert_eq!(image.is_empty(), state.is_empty() && image.layout() == Layout::Empty);
        }
        assert!(list(&mut image, &store, 1).is_empty(), "equal content changes nothing");
        let mut fresh = self::image();
        let listed = list(&mut fresh, &store, 2);
        assert!(listed.keys().eq(state.keys()));
        assert!(listed.iter().all(|(key, entry)| is_same(entry, &state[key])));
        assert_eq!(fresh.tally, image.tally);
        let problems = |image: &Image| image.problems().map(|error| error.to_string()).collect::<Vec<_>>();
        assert_eq!(problems(&fresh), problems(&image));
        let deletions = store.into_keys().map(|key| (key, None::<Vec<u8>>));
        overlay(&mut state, image.apply(deletions).unwrap());
        assert!(state.is_empty() && image.is_empty());
        assert_eq!(image.tally, Tally::default());
    }
}

/// Lists a store in pages, in some order that `order` says.
fn list(image: &mut Image, store: &Store, order: u64) -> Objects {
    let mut pairs: Vec<_> = store.iter().collect();
    match order % 3 {
        0 => {}
        1 => pairs.reverse(),
        _ => pairs.rotate_left(order as usize % store.len().max(1)),
    }
    // A scan may show a key twice.
    if let Some(first) = pairs.first().copied() {
        pairs.push(first);
    }
    let mut listing = image.begin();
    for page in pairs.chunks(3) {
        listing.page(page.iter().copied());
    }
    let is_empty = listing.is_empty();
    let changed = listing.finish().unwrap();
    assert_eq!(is_empty, image.is_empty());
    changed
}

fn many(count: usize) -> Store {
    let keys = (0..count).flat_map(|n| {
        [
            (
                format!("http/routers/router-{n}/rule"),
                format!("Host(`host-{n}.example.com`)"),
            ),
            (
                format!("http/routers/router-{n}/service"),
                format!("service-{n}"),
            ),
            (
                format!("http/routers/router-{n}/entrypoints/0"),
                "websecure".to_owned(),
            ),
            (format!("http/routers/router-{n}/tls"), "true".to_owned()),
            (
                format!("http/services/service-{n}/loadbalancer/servers/0/url"),
                format!("http://10.0.0.1:{n}"),
            ),
            (
                format!("http/services/service-{n}/loadbalancer/servers/1/url"),
                format!("http://10.0.0.2:{n}"),
            ),
        ]
    });
    keys.map(|(key, value)| (key.into_bytes(), value.into_bytes()))
        .collect()
}

#[test]
fn a_pair_takes_less_than_its_key_and_value_and_an_object_little_more() {
    let store = many(10_000);
    let mut image = image();
    assert_eq!(list(&mut image, &store, 0).len(), 20_000);
    let per_pair = image.allocated() / image.len();
    assert!(per_pair < 60, "{per_pair} bytes");
}

#[test]
fn a_listing_that_is_dropped_or_too_large_changes_nothing() {
    let store = many(10);
    let limits = Limits {
        pairs: 60,
        ..Limits::default()
    };
    let mut image = Image::new(limits, Arc::default());
    list_sorted(&mut image, &store).unwrap();
    let mut listing = image.begin();
    listing.page([("http/routers/other/rule", "x")]);
    drop(listing);
    assert!(list_sorted(&mut image, &store).unwrap().is_empty());
    let error = list_sorted(&mut image, &many(11)).unwrap_err().to_string();
    assert!(
        error.contains("keys") && error.contains("the limits are 60 and"),
        "{error}"
    );
    let one_more = [("http/routers/other/rule", Some("x"))];
    assert!(image.apply(one_more.into_iter()).is_err());
    let stray = [("foo", Some("x"))];
    assert!(image.apply(stray.into_iter()).is_err());
    assert!(list_sorted(&mut image, &store).unwrap().is_empty());
    let exchange = [
        ("http/routers/other/rule", Some("x")),
        ("http/routers/router-1/rule", None),
    ];
    assert_eq!(image.apply(exchange.into_iter()).unwrap().len(), 2);
}

fn list_sorted(image: &mut Image, store: &Store) -> Result<Objects, TooLarge> {
    let mut listing = image.begin();
    listing.page(store);
    listing.finish()
}

#[test]
fn a_value_that_is_too_long_rejects_its_object_and_a_key_that_is_too_long_is_a_problem() {
    let limits = Limits {
        value_bytes: 8,
        key_bytes: 40,
        ..Limits::default()
    };
    let mut image = Image::new(limits, Arc::default());
    let key = "http/routers/r/rule";
    let changed = image.apply([(key, Some("123456789"))].into_iter()).unwrap();
    let router = ObjectKey::new(Kind::HttpRouter, "r");
    let Entry::Rejected(errors) = &changed[&router] else {
        panic!("{changed:?}");
    };
    let expected = "http.routers.r.rule: the value has 9 bytes, which is more than the limit";
    assert_eq!(errors[0].to_string(), expected);
    let changed = image.apply([(key, Some("12345678"))].into_iter()).unwrap();
    assert!(matches!(changed[&router], Entry::Present(_)));

    let long = format!("http/routers/{}/rule", "x".repeat(40));
    assert!(
        image
            .apply([(&long, Some("x"))].into_iter())
            .unwrap()
            .is_empty()
    );
    let problem = image.problems().next().unwrap().to_string();
    assert!(
        problem.starts_with("http/routers/xxx") && problem.contains("longer"),
        "{problem}"
    );
    image.apply([(&long, None::<&str>)].into_iter()).unwrap();
    assert_eq!(image.problems().count(), 0);
}

#[test]
fn todays_layout_counts_where_both_are_and_that_is_told() {
    let mut image = image();
    let former = [
        ("frontends/f/backend", Some("b")),
        ("tls/n/entrypoints", Some("https")),
    ];
    let changed = image.apply(former.into_iter()).unwrap();
    assert_eq!(image.layout(), Layout::Former);
    let f = ObjectKey::new(Kind::HttpRouter, "f");
    let r = ObjectKey::new(Kind::HttpRouter, "r");
    assert!(matches!(changed[&f], Entry::Present(_)));
    let both = [("http/routers/r/rule", Some("x"))];
    let changed = image.apply(both.into_iter()).unwrap();
    assert_eq!(image.layout(), Layout::Today);
    assert!(matches!(
        (&changed[&f], &changed[&r]),
        (Entry::Absent, Entry::Present(_))
    ));
    let problem = image.problems().next().unwrap().to_string();
    assert!(problem.contains("keep one layout"), "{problem}");
    let back = [("http/routers/r/rule", None::<&str>)];
    let changed = image.apply(back.into_iter()).unwrap();
    assert!(matches!(
        (&changed[&f], &changed[&r]),
        (Entry::Present(_), Entry::Absent)
    ));
}
