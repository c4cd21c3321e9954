//! What is refused when a configuration is compiled, and how the error reads.

use super::*;

#[test]
fn a_middleware_that_could_not_work_is_refused_with_the_field() {
    for (yaml, expected) in [
        ("{addPrefix: {prefix: ''}}", "addPrefix.prefix: is empty"),
        (
            "{addPrefix: {prefix: '/a/../b'}}",
            "addPrefix.prefix: \"/a/../b\" has a",
        ),
        (
            "{replacePath: {path: 'x'}}",
            "replacePath.path: \"x\" does not begin with a slash; write \"/x\"",
        ),
        (
            "{replacePath: {path: '/x%zz'}}",
            "replacePath.path: \"/x%zz\": the path holds a broken",
        ),
        (
            "{replacePath: {path: '/x/../y'}}",
            "replacePath.path: \"/x/../y\" has a",
        ),
        (
            "{replacePathRegex: {regex: '(', replacement: x}}",
            "replacePathRegex.regex: missing `)`",
        ),
        (
            "{stripPrefixRegex: {regex: ['(']}}",
            "stripPrefixRegex.regex: missing `)`",
        ),
        (
            "{redirectRegex: {regex: '(', replacement: x}}",
            "redirectRegex.regex: missing `)`",
        ),
        (
            "{redirectScheme: {port: '1'}}",
            "redirectScheme.scheme: \"\" is no URL scheme",
        ),
        (
            "{redirectScheme: {scheme: 'a b'}}",
            "redirectScheme.scheme: \"a b\" is no URL scheme",
        ),
        (
            "{redirectScheme: {scheme: https, port: x}}",
            "redirectScheme.port: \"x\" is no port",
        ),
        (
            "{redirectScheme: {scheme: https, port: '0'}}",
            "redirectScheme.port: \"0\" is no port",
        ),
        ("{headers: {frameDeny: false}}", "headers: no option is set"),
        (
            "{headers: {customRequestHeaders: {'X A': a}}}",
            "headers.customRequestHeaders: \"X A\" is not a header name",
        ),
        (
            "{headers: {customResponseHeaders: {'X A': a}}}",
            "headers.customResponseHeaders: \"X A\" is not a header name",
        ),
        (
            "{headers: {customRequestHeaders: {X-A: \"a\\r\\nb: c\"}}}",
            "headers.customRequestHeaders: the value of \"X-A\" has a control character",
        ),
        (
            "{headers: {customRequestHeaders: {Host: 'a/b'}}}",
            "headers.customRequestHeaders: \"a/b\" is no value of \"Host\"",
        ),
        (
            "{headers: {accessControlAllowOriginListRegex: ['(']}}",
            "headers.accessControlAllowOriginListRegex: missing `)`",
        ),
        (
            "{ipAllowList: {rejectStatusCode: 403}}",
            "ipAllowList.sourceRange: is empty",
        ),
        (
            "{ipAllowList: {sourceRange: [foo]}}",
            "ipAllowList.sourceRange: \"foo\" is neither",
        ),
        (
            "{ipAllowList: {sourceRange: ['::1'], rejectStatusCode: 799}}",
            "ipAllowList.rejectStatusCode: 799 is no status",
        ),
        (
            "{ipAllowList: {sourceRange: ['::1'], rejectStatusCode: 103}}",
            "ipAllowList.rejectStatusCode: 103 is no status",
        ),
        (
            "{ipAllowList: {sourceRange: ['::1'], ipStrategy: {ipv6Subnet: 129}}}",
            "ipAllowList.ipStrategy.ipv6Subnet: 129",
        ),
        (
            "{ipAllowList: {sourceRange: ['::1'], ipStrategy: {excludedIPs: [x]}}}",
            "ipAllowList.ipStrategy.excludedIPs: \"x\"",
        ),
        ("{basicAuth: {realm: x}}", "basicAuth.users: has no user"),
        (
            "{basicAuth: {users: [bob]}}",
            "basicAuth.users: entry 1 is not of the form name:hash",
        ),
        (
            "{basicAuth: {users: ['bob:x:y']}}",
            "basicAuth.users: entry 1 is not of the form name:hash",
        ),
        (
            "{basicAuth: {users: ['a:b', \"a\\nb:c\"]}}",
            "basicAuth.users: entry 2 is not of the form name:hash",
        ),
        (
            "{basicAuth: {usersFile: missing}}",
            "basicAuth.usersFile: cannot read \"missing\"",
        ),
        (
            "{basicAuth: {users: ['a:b'], headerField: 'X A'}}",
            "basicAuth.headerField: \"X A\" is not a header name",
        ),
        ("{retry: {attempts: 0}}", "retry.attempts: is 0"),
        (
            "{errors: {status: [abc], service: s}}",
            "errors.status: \"abc\"",
        ),
        (
            "{buffering: {retryExpression: 'Attempts() < 3 &&'}}",
            "buffering.retryExpression: expected",
        ),
        (
            "{rateLimit: {average: 1}}",
            "rateLimit: this type of middleware is not supported yet",
        ),
        ("{compress: {}}", "compress: this type"),
        ("{chain: {middlewares: [a]}}", "chain: "),
    ] {
        let error = compiled(yaml).expect_err(yaml);
        assert!(error.starts_with(expected), "{yaml}: {error}");
    }
}

#[test]
fn an_error_shows_no_secret() {
    let error = compiled("{basicAuth: {users: ['bob:hash:rest']}}").unwrap_err();
    assert!(!error.contains("hash:rest"), "{error}");
}

#[test]
fn every_type_has_its_name_and_kind() {
    for (yaml, name, around) in [
        ("{addPrefix: {prefix: /a}}", "addPrefix", false),
        ("{stripPrefix: {prefixes: [/a]}}", "stripPrefix", false),
        (
            "{stripPrefixRegex: {regex: [/a]}}",
            "stripPrefixRegex",
            false,
        ),
        ("{replacePath: {path: /a}}", "replacePath", false),
        (
            "{replacePathRegex: {regex: a, replacement: b}}",
            "replacePathRegex",
            false,
        ),
        ("{redirectScheme: {scheme: https}}", "redirectScheme", false),
        (
            "{redirectRegex: {regex: a, replacement: b}}",
            "redirectRegex",
            false,
        ),
        ("{headers: {frameDeny: true}}", "headers", false),
        (
            "{ipAllowList: {sourceRange: ['::1']}}",
            "ipAllowList",
            false,
        ),
        (
            "{ipWhiteList: {sourceRange: ['::1']}}",
            "ipAllowList",
            false,
        ),
        ("{basicAuth: {users: ['a:b']}}", "basicAuth", false),
        (
            "{encodedCharacters: {allowEncodedHash: true}}",
            "encodedCharacters",
            false,
        ),
        ("{contentType: {}}", "contentType", false),
        ("{retry: {attempts: 2}}", "retry", true),
        ("{errors: {status: ['500'], service: s}}", "errors", true),
        ("{buffering: {maxRequestBodyBytes: 1}}", "buffering", true),
    ] {
        let middleware = middleware(yaml);
        assert_eq!(
            (middleware.type_name(), middleware.is_around()),
            (name, around)
        );
    }
}

#[test]
fn compiled_middlewares_are_shared_between_threads() {
    fn is_shared<T: Send + Sync + 'static>() {}
    is_shared::<Middleware>();
}
