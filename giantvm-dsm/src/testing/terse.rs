//! Messages in few words.

use std::fmt::Debug;

use giantvm_core::PageIndex;

/// A message as its `Debug` says, but pages and nodes are written as everywhere else, and a field
/// is not told once more what type it has.
pub(super) fn terse(message: &impl Debug) -> String {
    let text = format!("{message:?}");
    let (mut short, mut rest) = (String::new(), text.as_str());
    while let Some((before, inner)) = rest.split_once('(') {
        let head = before.trim_end_matches(char::is_alphanumeric);
        let number = inner.split_once(')');
        let number = number.and_then(|(digits, after)| Some((digits.parse().ok()?, after)));
        let written = number.and_then(|(number, after)| {
            let field = head.ends_with(": ");
            let written = match &before[head.len()..] {
                "PageIndex" => PageIndex(number).to_string(),
                "NodeId" => format!("node {number}"),
                _ if field => number.to_string(),
                _ => return None,
            };
            Some((written, after))
        });
        match written {
            Some((written, after)) => {
                short.extend([head, &written]);
                rest = after;
            }
            None => {
                short.extend([before, "("]);
                rest = inner;
            }
        }
    }
    short + rest
}

#[cfg(test)]
mod tests {
    use giantvm_core::NodeId;

    use super::*;

    #[derive(Debug)]
    #[expect(dead_code, reason = "read by its Debug only")]
    enum Message {
        Give(PageIndex, NodeId),
        Count(u64),
        Grant { page: PageIndex, lease: Lease },
        Deep(Option<Lease>),
    }

    #[derive(Debug)]
    #[expect(dead_code, reason = "read by its Debug only")]
    struct Lease(u64);

    #[test]
    fn pages_nodes_and_fields_lose_their_type_and_nothing_else_is_touched() {
        let page = PageIndex(16);
        let lease = Lease(7);
        assert_eq!(
            terse(&Message::Give(page, NodeId::ZERO)),
            "Give(0x10, node 0)"
        );
        assert_eq!(terse(&Message::Count(3)), "Count(3)");
        assert_eq!(
            terse(&Message::Grant { page, lease }),
            "Grant { page: 0x10, lease: 7 }"
        );
        assert_eq!(
            terse(&Message::Deep(Some(Lease(1)))),
            "Deep(Some(Lease(1)))"
        );
        assert_eq!(terse(&"é(PageIndex(x)"), "\"é(PageIndex(x)\"");
    }
}
