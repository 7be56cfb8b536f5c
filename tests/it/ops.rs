//! What the appliance says of itself.

use mailtrail::http::Method;

use crate::support::Server;

#[test]
fn metrics_say_how_many_writes_share_a_commit_to_those_who_run_the_appliance() {
    let server = Server::start();
    server.request(Method::Get, "/metrics").send().status(401);
    let (_, eve) = server.add_workspace("Other", "eve@example.net");
    server.request(Method::Get, "/metrics").key(&eve).send().status(403);

    let value = |name: &str| {
        let text = server.request(Method::Get, "/metrics").key(&server.key).send().status(200).body_text();
        let line = text.lines().find(|line| line.starts_with(name)).expect("the metric").to_owned();
        line.rsplit(' ').next().and_then(|value| value.parse::<u64>().ok()).expect("a number")
    };
    let bucket = r#"mailtrail_commit_writes_bucket{le="1"}"#;
    let before = (value(bucket), value("mailtrail_commit_writes_sum"));
    server.add_tenant(&server.workspace, "Acme");
    assert!(value(bucket) > before.0, "a commit of one write");
    assert!(value("mailtrail_commit_writes_sum") > before.1);
    let all = value(r#"mailtrail_commit_writes_bucket{le="+Inf"}"#);
    assert_eq!(value("mailtrail_commit_writes_count"), all);
}
