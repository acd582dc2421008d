//! Tables of patterns, values and what becomes of them.

use super::*;
use serde_json::{Value, json};

fn expand(pattern: &str, parameter: Value) -> Result<String, ExpandError> {
    pattern.parse::<UriPattern>().unwrap().expand(&parameter.to_string())
}

#[test]
fn a_number_stands_as_it_is_written() {
    let pattern: UriPattern = "http://h/{n}?q={n}".parse().unwrap();
    for (written, expect) in [
        ("20000000000000000001", "20000000000000000001"),
        ("-9223372036854775809", "-9223372036854775809"),
        ("1e2", "1e2"),
        ("1E2", "1E2"),
        ("1e+2", "1e%2B2"),
        ("1.10", "1.10"),
        ("-0", "-0"),
        ("0.1000000000000000055", "0.1000000000000000055"),
        ("1e999999999", "1e999999999"),
    ] {
        let filled = pattern.expand(&format!("{{\"n\": {written} }}"));
        assert_eq!(filled, Ok(format!("http://h/{expect}?q={expect}")), "{written}");
    }
}

#[test]
fn a_value_fills_one_segment_or_one_query_value() {
    for (pattern, parameter, expect) in [
        ("http://h", json!({}), "http://h"),
        ("http://h/", json!({}), "http://h/"),
        ("https://h:8443/a?b=c", json!({}), "https://h:8443/a?b=c"),
        ("http://h/s/{Id}/republish", json!({"Id": 42}), "http://h/s/42/republish"),
        ("http://h/{a.b}", json!({"a": {"b": true}}), "http://h/true"),
        ("http://h/{a}", json!({"a": "AZaz09-._~"}), "http://h/AZaz09-._~"),
        ("http://h/{a}", json!({"a": "x/y?z#1"}), "http://h/x%2Fy%3Fz%231"),
        ("http://h/{a}", json!({"a": "a b+c%2e\\"}), "http://h/a%20b%2Bc%252e%5C"),
        ("http://h/{a}", json!({"a": "Straße"}), "http://h/Stra%C3%9Fe"),
        ("http://h/{a}", json!({"a": "\r\n\u{0}"}), "http://h/%0D%0A%00"),
        ("http://h/{a}", json!({"a": "..."}), "http://h/..."),
        ("http://h/{a}-{b}.json", json!({"a": 1, "b": 2}), "http://h/1-2.json"),
        ("http://h/x{a}", json!({"a": ".."}), "http://h/x.."),
        ("http://h/x{a}/y", json!({"a": ""}), "http://h/x/y"),
        ("http://h/?q={a}&p={a}", json!({"a": "1&2=3"}), "http://h/?q=1%262%3D3&p=1%262%3D3"),
        ("http://h?q={a}", json!({"a": ""}), "http://h?q="),
        ("http://h/?q={a}", json!({"a": ".."}), "http://h/?q=.."),
        ("http://h/?q=a/{a}?", json!({"a": "x"}), "http://h/?q=a/x?"),
        ("http://h/{Song Id}", json!({"Song Id": 1}), "http://h/1"),
        ("http://h/a/../{a}", json!({"a": 1}), "http://h/a/../1"),
    ] {
        assert_eq!(expand(pattern, parameter), Ok(expect.to_owned()), "{pattern}");
    }
}

#[test]
fn a_value_never_changes_the_structure_of_the_uri() {
    use ExpandReason::{DotSegment, EmptySegment, Field, TooLong};
    for (pattern, parameter, field, reason) in [
        ("http://h/{a}", json!({}), "a", Field(FieldError::Missing)),
        ("http://h/{a.b}", json!({"a": 1}), "a.b", Field(FieldError::Missing)),
        ("http://h/{a}", json!({"a": null}), "a", Field(FieldError::NotScalar)),
        ("http://h/{a}", json!({"a": [1]}), "a", Field(FieldError::NotScalar)),
        ("http://h/?x={a}", json!({"a": {}}), "a", Field(FieldError::NotScalar)),
        ("http://h/{a}", json!({"a": ""}), "a", EmptySegment),
        ("http://h/x/{a}/y", json!({"a": ""}), "a", EmptySegment),
        ("http://h/{a}", json!({"a": "."}), "a", DotSegment),
        ("http://h/x/{a}/y", json!({"a": ".."}), "a", DotSegment),
        ("http://h/{a}{b}", json!({"a": ".", "b": "."}), "a", DotSegment),
        ("http://h/%2e{a}", json!({"a": "."}), "a", DotSegment),
        ("http://h/{a}", json!({"a": "x".repeat(EXPANDED_MAX_BYTES)}), "a", TooLong),
    ] {
        let expect = ExpandError { field: field.parse().unwrap(), reason };
        assert_eq!(expand(pattern, parameter), Err(expect), "{pattern}");
    }
    let hostile = ["", ".", "..", "/", "//evil", "?", "#", "@evil", ":1", "\\", "%2e%2e", "&x=y", "\t"];
    for value in hostile {
        let Ok(uri) = expand("http://h/a/{v}/b?q={v}", json!({"v": value})) else {
            continue;
        };
        let url = Url::parse(&uri).unwrap();
        assert_eq!(url.host_str(), Some("h"), "{uri}");
        assert_eq!(url.path_segments().unwrap().count(), 3, "{uri}");
        assert_eq!(url.query_pairs().collect::<Vec<_>>(), [("q".into(), value.into())], "{uri}");
        assert_eq!(url.fragment(), None, "{uri}");
    }
}

#[test]
fn errors_name_the_field() {
    let error = expand("http://h/{song.id}", json!({})).unwrap_err();
    assert_eq!(error.to_string(), "song.id is missing");
}

#[test]
fn fields_come_in_order() {
    let pattern: UriPattern = "http://h/{b}/{a.c}?q={b}".parse().unwrap();
    assert_eq!(pattern.fields().map(FieldPath::as_str).collect::<Vec<_>>(), ["b", "a.c", "b"]);
    assert_eq!(serde_json::to_string(&pattern).unwrap(), "\"http://h/{b}/{a.c}?q={b}\"");
    assert_eq!(serde_json::from_str::<UriPattern>("\"http://h/{b}/{a.c}?q={b}\"").unwrap(), pattern);
}

#[test]
fn patterns_that_are_refused() {
    use UriError::*;
    for (text, expect) in [
        ("", NotHttp),
        ("/relative", NotHttp),
        ("http:h", NotHttp),
        ("http:/h", NotHttp),
        ("ftp://h/", NotHttp),
        ("file:///etc/passwd", NotHttp),
        (" http://h", NotHttp),
        ("{scheme}://h/", PlaceholderInAuthority),
        ("http{s}://h/", PlaceholderInAuthority),
        ("http://{host}/", PlaceholderInAuthority),
        ("http://h:{port}/", PlaceholderInAuthority),
        ("http://{user}@h/", PlaceholderInAuthority),
        ("http://h{path}", PlaceholderInAuthority),
        ("http://{a/b}/", PlaceholderInAuthority),
        ("http://user:pw@h/", UserInfo),
        ("http://@h/", UserInfo),
        ("http://h/#x", Fragment),
        ("http://h/{a}#{b}", Fragment),
        ("http://h/a b", Character),
        ("http://h/?a=b c", Character),
        ("http://h/\t", Character),
        ("http://h\\@evil/", Character),
        ("http://h /", Character),
        ("http://h/{a", Braces),
        ("http://h/a}", Braces),
        ("http://h/{a/b}", Braces),
        ("http://h/?{a", Braces),
    ] {
        assert_eq!(text.parse::<UriPattern>(), Err(expect), "{text}");
    }
    for text in ["http://", "http:///h", "http://?q", "http://h:99999/", "http://h:0/", "http://a..b:x/"] {
        assert!(matches!(text.parse::<UriPattern>(), Err(Invalid(_))), "{text}");
    }
    for text in ["http://h/{}", "http://h/{{a}}", "http://h/{+a}", "http://h/{a,b}", "http://h/{a..b}"] {
        assert!(matches!(text.parse::<UriPattern>(), Err(Placeholder { .. })), "{text}");
    }
    let long = format!("http://h/{}", "x".repeat(URI_MAX_BYTES));
    assert_eq!(long.parse::<UriPattern>(), Err(TooLong));
    let many = format!("http://h/{}", "{a}".repeat(PLACEHOLDERS_MAX + 1));
    assert_eq!(many.parse::<UriPattern>(), Err(TooManyPlaceholders));
}

#[test]
fn fixed_uris() {
    for good in ["http://h", "HTTPS://h:1/a?b=c", "http://127.0.0.1/", "http://[::1]:8080/x", "http://ä.de/ö"]
    {
        assert_eq!(fixed(good), Ok(()), "{good}");
    }
    for (bad, expect) in [
        ("http://h/{a}", UriError::PlaceholderInFixed),
        ("http://h/a}", UriError::PlaceholderInFixed),
        ("http://u@h/", UriError::UserInfo),
        ("http://h/#a", UriError::Fragment),
        ("http://h/a b", UriError::Character),
        ("gopher://h/", UriError::NotHttp),
        ("example.com/x", UriError::NotHttp),
    ] {
        assert_eq!(fixed(bad), Err(expect), "{bad}");
    }
}
