//! Accounts: nobody joins a workspace unasked, nobody's password is another's to set, and nobody is kept out by those
//! who guess at it.

use std::io::Write;
use std::process::{Command, Output, Stdio};
use std::slice;

use mailtrail::auth::throttle::{EVERY, OF_ACCOUNT};
use mailtrail::http::Method;
use serde_json::{Value, json};

use crate::support::{Answer, OWNER, PASSWORD, START, Server, time};

const EVE: &str = "eve@example.net";
const WRONG: &str = "not the password";

/// Two workspaces: the first is Ada's, the other Eve's.
struct Scene {
    server: Server,
    /// Of Eve's workspace.
    other: String,
    eve: String,
}

impl Scene {
    fn new() -> Self {
        let server = Server::start();
        let (other, _) = server.add_workspace("Other", EVE);
        let eve = server.login(EVE);
        Self { server, other, eve }
    }

    /// A request of Eve, who owns the other workspace.
    fn as_eve(&self, method: Method, path: &str, body: Value) -> Answer {
        let request = self.server.request(method, &format!("/api/v1/admin/{path}")).cookie(&self.eve);
        if body.is_null() { request } else { request.json(&body) }.send()
    }

    fn accept(&self, path: &str, body: Value) -> Answer {
        self.server.request(Method::Post, path).json(&body).send()
    }

    /// What a workspace's log has of an action.
    fn noted(&self, workspace: &str, action: &str) -> Vec<Value> {
        let path = format!("/api/v1/workspaces/{workspace}/audit-log?action={action}");
        let page = self.server.operator(Method::Get, &path, &Value::Null).status(200).json();
        page["entries"].as_array().expect("entries").clone()
    }
}

fn login(server: &Server, email: &str, password: &str, from: &str) -> Answer {
    server
        .request(Method::Post, "/api/v1/auth/login")
        .header("x-forwarded-for", from)
        .json(&json!({ "email": email, "password": password }))
        .send()
}

fn me(server: &Server, cookie: &str) -> Answer {
    server.request(Method::Get, "/api/v1/me").cookie(cookie).send()
}

fn members(value: &Value) -> Vec<&String> {
    value.as_object().expect("an object").keys().collect()
}

// ---------------------------------------------------------------------------------------------- invitations

#[test]
fn an_invitation_does_not_tell_whether_there_is_an_account() {
    let scene = Scene::new();
    let invite = |email: &str| {
        scene.as_eve(Method::Post, "users", json!({ "email": email, "role": "auditor" })).status(201).json()
    };
    let (known, unknown) = (invite(OWNER), invite("fresh@example.org"));
    assert_eq!(members(&known), members(&unknown));
    for (one, other) in
        known.as_object().expect("an object").iter().zip(unknown.as_object().expect("an object"))
    {
        let of_their_own = ["id", "email", "token", "path"].contains(&one.0.as_str());
        assert!(of_their_own || one == other, "{one:?} {other:?}");
    }
    // A password is refused for both, before anything is looked up.
    let refused = |email: &str| {
        let body = json!({ "email": email, "role": "auditor", "password": PASSWORD });
        scene.as_eve(Method::Post, "users", body).status(422).body_text()
    };
    assert_eq!(refused(OWNER), refused("fresh@example.org"));
    // So do the links, and the lists: nobody is a member yet.
    let look = |invitation: &Value| {
        let path = invitation["path"].as_str().expect("a path");
        let mut shown = scene.server.request(Method::Get, path).send().status(200).json();
        shown["email"] = Value::Null;
        shown
    };
    assert_eq!(look(&known), look(&unknown));
    let listed = scene.as_eve(Method::Get, "invitations", Value::Null).status(200).json();
    assert_eq!(listed["count"], 2);
    assert!(!listed.to_string().contains(known["token"].as_str().expect("a token")), "{listed}");
    let users = scene.as_eve(Method::Get, "users", Value::Null).status(200);
    assert_eq!(users.json()["count"], 1, "{users:?}");
    // Trying it with too short a password neither.
    let short = |invitation: &Value| {
        let path = invitation["path"].as_str().expect("a path");
        scene.accept(path, json!({ "password": "short" })).status(400).body_text()
    };
    assert_eq!(short(&known), short(&unknown));
}

#[test]
fn who_is_invited_is_not_affected_by_it() {
    let scene = Scene::new();
    let Scene { server, other, .. } = &scene;
    let bob = server.add_user(&server.workspace, "bob@example.org", "auditor").text("id");
    scene.as_eve(Method::Post, "users", json!({ "email": "bob@example.org", "role": "auditor" })).status(201);
    let cookie = server.login("bob@example.org");
    login(server, "bob@example.org", WRONG, "203.0.113.9").status(401);
    for action in ["auth.login", "auth.login_failed"] {
        let of_bob = |workspace: &str| {
            scene.noted(workspace, action).iter().filter(|entry| entry["target_id"] == *bob).count()
        };
        assert_eq!((of_bob(&server.workspace), of_bob(other)), (1, 0), "{action}");
    }
    assert_eq!(me(server, &cookie).json()["workspaces"].as_array().map(Vec::len), Some(1));
    for (method, body) in [
        (Method::Get, Value::Null),
        (Method::Patch, json!({ "password": PASSWORD })),
        (Method::Delete, Value::Null),
    ] {
        scene.as_eve(method, &format!("users/{bob}"), body).status(404);
    }
    // Their own administrators may still help who has forgotten their password.
    let ada = server.login(OWNER);
    let body = json!({ "password": "another good password" });
    let path = format!("/api/v1/admin/users/{bob}");
    server.request(Method::Patch, &path).cookie(&ada).json(&body).send().status(200);
    server.login_with("bob@example.org", "another good password");
}

#[test]
fn an_account_joins_when_it_accepts_and_nobody_sets_its_password_from_then_on() {
    let scene = Scene::new();
    let Scene { server, other, .. } = &scene;
    let bob = server.add_user(&server.workspace, "bob@example.org", "auditor").text("id");
    let body = json!({ "email": "bob@example.org", "role": "admin" });
    let made = scene.as_eve(Method::Post, "users", body).status(201);
    let path = made.text("path");
    // Looking takes nothing of it.
    for method in [Method::Get, Method::Head, Method::Get] {
        server.request(method, &path).send().status(200);
    }
    // Who has the link, as the inviter has, is nobody by it.
    let wrong = scene.accept(&path, json!({ "password": WRONG, "new_password": "chosen by somebody else" }));
    assert_eq!(wrong.status(401).json(), json!({ "error": "Wrong email or password" }));
    // The password that an administrator knows is replaced.
    let kept = scene.accept(&path, json!({ "password": PASSWORD })).status(400);
    assert!(kept.body_text().contains("new_password"), "{kept:?}");
    let same = json!({ "password": PASSWORD, "new_password": PASSWORD });
    scene.accept(&path, same).status(400);
    let session = server.login("bob@example.org");
    let chosen = "chosen by bob alone";
    let right = json!({ "password": PASSWORD, "new_password": chosen });
    let accepted = scene.accept(&path, right.clone()).status(200).json();
    assert_eq!(
        accepted,
        json!({
            "user_id": bob, "email": "bob@example.org", "workspace_id": other, "role": "admin", "joined_at": START,
        })
    );
    me(server, &session).status(401);
    // Once.
    scene.accept(&path, right).status(404);
    server.request(Method::Get, &path).send().status(404);
    let cookie = server.login_with("bob@example.org", chosen);
    let workspaces = me(server, &cookie).json()["workspaces"].clone();
    assert_eq!(workspaces.as_array().map(Vec::len), Some(2), "{workspaces}");
    let [added] = scene
        .noted(other, "workspace.member_added")
        .into_iter()
        .filter(|e| e["target_id"] == *bob)
        .collect::<Vec<_>>()
        .try_into()
        .expect("one");
    assert_eq!((&added["actor"], &added["user_id"]), (&json!("bob@example.org"), &json!(bob)));
    let ip = |workspace: &str| scene.noted(workspace, "auth.login")[0]["ip_address"].clone();
    assert_eq!((ip(&server.workspace), ip(other)), (json!("127.0.0.1"), json!("127.0.0.1")));
    // Neither there nor where the account was made.
    let ada = server.login(OWNER);
    let user = format!("/api/v1/admin/users/{bob}");
    let reset = json!({ "password": "now it is mine" });
    for by in [&ada, &scene.eve] {
        server.request(Method::Patch, &user).cookie(by).json(&reset).send().status(403);
    }
    server.request(Method::Patch, &user).key(&server.key).json(&reset).send().status(403);
    // Leaving the other workspace ends nothing, and gives nobody the password back.
    scene.as_eve(Method::Delete, &format!("users/{bob}"), Value::Null).status(204);
    server.request(Method::Patch, &user).cookie(&ada).json(&reset).send().status(403);
    me(server, &cookie).status(200);
    // The operator, who can write the file, helps who has forgotten it.
    server.operator(Method::Patch, &user, &reset).status(200);
    me(server, &cookie).status(401);
}

/// The database is held by somebody else meanwhile, so that the new password is recorded after the old one was proved.
#[test]
fn a_login_with_the_old_password_does_not_outlive_the_new_one() {
    let server = Server::start();
    let made = server.operator(
        Method::Post,
        "/api/v1/admin/users",
        &json!({ "email": "bob@example.org", "role": "admin", "password": PASSWORD }),
    );
    let bob = format!("/api/v1/admin/users/{}", made.good().text("id"));
    let path = server.database();
    for n in 0..3 {
        let (old, new) = (format!("{PASSWORD}{n}"), format!("{PASSWORD}{}", n + 1));
        server.operator(Method::Patch, &bob, &json!({ "password": old })).good();
        let held = rusqlite::Connection::open(&path).expect("the database");
        held.execute_batch("BEGIN IMMEDIATE").expect("the lock");
        std::thread::scope(|scope| {
            let server = &server;
            let bob = &bob;
            let change = scope.spawn(move || {
                server.operator(Method::Patch, bob, &json!({ "password": new })).status(200);
            });
            // Hashed by now, and waiting.
            std::thread::sleep(std::time::Duration::from_millis(700));
            let login = scope.spawn(move || {
                let body = json!({ "email": "bob@example.org", "password": old });
                server.request(Method::Post, "/api/v1/auth/login").json(&body).send()
            });
            std::thread::sleep(std::time::Duration::from_millis(700));
            held.execute_batch("ROLLBACK").expect("the end");
            change.join().expect("no panic");
            let login = login.join().expect("no panic");
            if let Some(cookie) = login.header("set-cookie") {
                let cookie = cookie.split(';').next().unwrap_or_default();
                server.request(Method::Get, "/api/v1/me").cookie(cookie).send().status(401);
            }
        });
    }
}

#[test]
fn a_new_account_comes_by_the_same_link() {
    let scene = Scene::new();
    let Scene { server, other, .. } = &scene;
    let body = json!({ "email": "Fresh@example.org", "role": "auditor", "name": "Fresh" });
    let made = scene.as_eve(Method::Post, "users", body.clone()).status(201);
    let path = made.text("path");
    assert_eq!(made.json()["expires_at"], "2026-05-07T14:22:11Z");
    // A later one takes its place.
    let again = scene.as_eve(Method::Post, "users", body).status(201).text("path");
    scene.accept(&path, json!({ "password": PASSWORD })).status(404);
    scene.accept(&again, json!({ "password": PASSWORD })).status(200);
    let cookie = server.login("fresh@example.org");
    assert_eq!(me(server, &cookie).json()["workspaces"][0]["id"], *other);
    // It is theirs from its beginning.
    let user = me(server, &cookie).text("user_id");
    scene.as_eve(Method::Patch, &format!("users/{user}"), json!({ "password": PASSWORD })).status(403);
    let actions: Vec<Value> = ["workspace.user_created", "workspace.member_added"]
        .iter()
        .map(|action| scene.noted(other, action)[0]["actor"].clone())
        .collect();
    assert_eq!(actions, ["Fresh@example.org", "Fresh@example.org"]);
    let already =
        scene.as_eve(Method::Post, "users", json!({ "email": "fresh@example.org", "role": "admin" }));
    assert_eq!(already.status(409).text("code"), "member_exists");
    // Withdrawn, over, or of a workspace that is no more.
    let path_of = |email: &str| {
        let made =
            scene.as_eve(Method::Post, "users", json!({ "email": email, "role": "auditor" })).status(201);
        (made.text("id"), made.text("path"))
    };
    let (id, withdrawn) = path_of("one@example.org");
    scene.as_eve(Method::Delete, &format!("invitations/{id}"), Value::Null).status(204);
    scene.accept(&withdrawn, json!({ "password": PASSWORD })).status(404);
    let (_, late) = path_of("two@example.org");
    server.clock.set(time("2026-05-07T14:22:10Z"));
    server.request(Method::Get, &late).send().status(200);
    let gone = server.invite(other, "three@example.org", "auditor");
    server.clock.set(time("2026-05-07T14:22:11Z"));
    scene.accept(&late, json!({ "password": PASSWORD })).status(404);
    server.request(Method::Get, &gone).send().status(200);
    server.run_jobs();
    assert_eq!(server.db_number("SELECT count(*) FROM invitations"), 2, "one is as old as can be");
    server.clock.set(time("2026-05-07T14:32:12Z"));
    server.run_jobs();
    assert_eq!(server.db_number("SELECT count(*) FROM invitations"), 1);
    server.operator(Method::Delete, &format!("/api/v1/admin/workspaces/{other}"), &Value::Null).status(204);
    scene.accept(&gone, json!({ "password": PASSWORD })).status(404);
}

#[test]
fn owners_are_invited_by_owners_and_a_workspace_has_a_hundred_open() {
    let scene = Scene::new();
    let server = &scene.server;
    server.add_user(&server.workspace, "bob@example.org", "admin");
    let bob = server.login("bob@example.org");
    let invite = |cookie: &str, email: &str, role: &str| {
        let body = json!({ "email": email, "role": role });
        server.request(Method::Post, "/api/v1/admin/users").cookie(cookie).json(&body).send()
    };
    let ada = server.login(OWNER);
    invite(&bob, "carl@example.org", "owner").status(403);
    let carl = invite(&ada, "carl@example.org", "owner").status(201).text("id");
    invite(&bob, "Carl@example.org", "auditor").status(403);
    let withdraw = |cookie: &str| {
        let path = format!("/api/v1/admin/invitations/{carl}");
        server.request(Method::Delete, &path).cookie(cookie).send()
    };
    withdraw(&bob).status(403);
    for n in 1..100 {
        invite(&bob, &format!("{n}@example.org"), "auditor").status(201);
    }
    let refused = invite(&bob, "100@example.org", "auditor").status(409);
    assert_eq!(refused.text("code"), "too_many_invitations");
    invite(&bob, "7@example.org", "admin").status(201);
    withdraw(&ada).status(204);
    invite(&bob, "100@example.org", "auditor").status(201);
}

/// Older versions added an account to a second workspace unasked.
#[test]
fn where_somebody_never_agreed_to_be_their_logins_have_no_address() {
    let mut scene = Scene::new();
    scene.server.choose_password(OWNER);
    scene.server.join(&scene.other, OWNER, "auditor");
    scene.server.stop();
    let db = rusqlite::Connection::open(scene.server.database()).expect("the database");
    db.execute_batch("UPDATE members SET accepted_at = NULL WHERE workspace = 2 AND role = 1")
        .expect("a change");
    drop(db);
    scene.server.restart();
    let Scene { server, other, .. } = &scene;
    server.login(OWNER);
    let last = |workspace: &str| {
        let entry = scene.noted(workspace, "auth.login").swap_remove(0);
        json!([entry["actor"], entry["ip_address"]])
    };
    assert_eq!((last(&server.workspace), last(other)), (json!([OWNER, "127.0.0.1"]), json!([OWNER, null])));
    // They can be asked now; the role stays what it is.
    let path = server.invite(other, OWNER, "owner");
    let accepted = scene.accept(&path, json!({ "password": PASSWORD })).status(200).json();
    assert_eq!(accepted["role"], "auditor");
    server.login(OWNER);
    assert_eq!(last(other), json!([OWNER, "127.0.0.1"]));
}

// ---------------------------------------------------------------------------------------------- one's own password

#[test]
fn ones_own_password_is_set_with_the_present_one_and_ends_the_other_sessions() {
    let server = Server::start();
    let bob = server.add_user(&server.workspace, "bob@example.org", "auditor").text("id");
    let [own, other] = [0, 1].map(|_| server.login("bob@example.org"));
    let put =
        |body: Value| server.request(Method::Put, "/api/v1/me/password").cookie(&own).json(&body).send();
    let wrong = put(json!({ "current": WRONG, "new": "a new one of mine" })).status(403);
    assert_eq!(wrong.json(), json!({ "error": "the current password is another one" }));
    put(json!({ "current": PASSWORD, "new": "short" })).status(400);
    put(json!({ "current": PASSWORD, "new": PASSWORD })).status(400);
    put(json!({ "current": PASSWORD })).status(400);
    for cookie in [&own, &other] {
        me(&server, cookie).status(200);
    }
    put(json!({ "current": PASSWORD, "new": "a new one of mine" })).status(204);
    me(&server, &own).status(200);
    me(&server, &other).status(401);
    login(&server, "bob@example.org", PASSWORD, "127.0.0.1").status(401);
    server.login_with("bob@example.org", "a new one of mine");
    // It is nobody else's to set.
    let path = format!("/api/v1/admin/users/{bob}");
    let reset = json!({ "password": "not yours any more" });
    server.request(Method::Patch, &path).key(&server.key).json(&reset).send().status(403);
    // Whoever has a session guesses no faster than who has none.
    let guess = || put(json!({ "current": WRONG, "new": "a new one of theirs" })).status;
    let statuses: Vec<u16> = (0..8).map(|_| guess()).collect();
    assert_eq!(statuses, [403, 403, 403, 403, 403, 403, 429, 429]);
    let failures = "SELECT count(*) FROM activity JOIN texts ON texts.id = action
                    WHERE text = 'user.password_change_failed'";
    assert_eq!(server.db_number(failures), 1 + 6);
    // Another origin's page sets nothing.
    let foreign = server
        .request(Method::Put, "/api/v1/me/password")
        .cookie(&own)
        .header("origin", "http://evil.example");
    foreign.json(&json!({ "current": "a new one of mine", "new": "chosen elsewhere" })).send().status(403);
}

#[test]
fn a_person_has_twenty_sessions_and_the_oldest_gives_way() {
    let server = Server::start();
    let first = server.login(OWNER);
    server.clock.set(time(START).plus_seconds(1));
    let others: Vec<String> = (0..19).map(|_| server.login(OWNER)).collect();
    me(&server, &first).status(200);
    server.clock.set(time(START).plus_seconds(2));
    server.login(OWNER);
    me(&server, &first).status(401);
    for cookie in &others {
        me(&server, cookie).status(200);
    }
    assert_eq!(server.db_number("SELECT count(*) FROM sessions"), 20);
}

// ---------------------------------------------------------------------------------------------- guessing

/// The owner had to wait for whoever guessed now and then, from wherever: none of 56 right logins passed.
#[test]
fn a_guess_now_and_then_keeps_nobody_out() {
    let server = Server::start();
    let mut now = time(START);
    login(&server, OWNER, PASSWORD, "198.51.100.1").status(200);
    let mut n_looked_at = 0;
    for n in 0..56 {
        // As soon as a guess passes again, there is one, from each of four addresses.
        for from in ["203.0.113.1", "203.0.113.2", "2001:db8::1", "2001:db8:0:1::1"] {
            n_looked_at += usize::from(login(&server, OWNER, WRONG, from).status == 401);
        }
        let from = if n % 2 == 0 { "198.51.100.1" } else { "198.51.100.77" };
        login(&server, OWNER, PASSWORD, from).status(200);
        now = now.plus_seconds(60);
        server.clock.set(now);
    }
    assert!(n_looked_at < 4 * 30, "{n_looked_at} guesses in an hour");
}

#[test]
fn many_addresses_are_slowed_at_one_account_and_its_owner_is_not() {
    let mut server = Server::start();
    login(&server, OWNER, PASSWORD, "2001:db8:0:7::1").status(200);
    let from = |n: i64| format!("203.0.{}.{}", 113 + n / 250, n % 250);
    let n_passed =
        (0..OF_ACCOUNT + 20).filter(|n| login(&server, OWNER, WRONG, &from(*n)).status == 401).count();
    assert_eq!(n_passed as i64, OF_ACCOUNT);
    let stranger = login(&server, OWNER, PASSWORD, "192.0.2.1").status(429);
    assert_eq!(stranger.header("retry-after"), Some(EVERY.to_string().as_str()));
    // From where they have been lately, of that /64, with any capitals, also after a restart.
    login(&server, "ADA@example.org", PASSWORD, "2001:db8:0:7:ffff::9").status(200);
    login(&server, OWNER, PASSWORD, "2001:db8:0:8::1").status(429);
    server.restart();
    for n in 0..OF_ACCOUNT {
        login(&server, OWNER, WRONG, &from(n)).status(401);
    }
    server.clock.set(time(START).plus_seconds(1));
    login(&server, OWNER, PASSWORD, "192.0.2.1").status(429);
    login(&server, OWNER, PASSWORD, "2001:db8:0:7::1").status(200);
    // Guesses from there count there, and are as few as elsewhere.
    let guesses = (0..20).filter(|_| login(&server, OWNER, WRONG, "2001:db8:0:7::1").status == 401).count();
    assert_eq!(guesses, 6);
    // Others' accounts have nothing to do with it.
    login(&server, EVE, WRONG, "192.0.2.1").status(401);
}

#[test]
fn a_source_is_known_for_thirty_days_and_until_the_next_password() {
    let server = Server::start();
    server.add_user(&server.workspace, "bob@example.org", "auditor");
    let known = || server.db_number("SELECT count(*) FROM login_sources");
    for n in 0..40 {
        server.clock.set(time(START).plus_seconds(n));
        login(&server, "bob@example.org", PASSWORD, &format!("203.0.113.{n}")).status(200);
    }
    assert_eq!(known(), 32, "of one account");
    login(&server, OWNER, PASSWORD, "198.51.100.1").status(200);
    server.choose_password("bob@example.org");
    assert_eq!(known(), 1, "bob's are forgotten with his password");
    server.clock.set(time(START).plus_days(30).plus_seconds(38));
    server.run_jobs();
    assert_eq!(known(), 1);
    server.clock.set(time(START).plus_days(30).plus_seconds(660));
    server.run_jobs();
    assert_eq!(known(), 0);
}

// ---------------------------------------------------------------------------------------------- the cookie

#[test]
fn behind_https_only_the_hosts_own_cookie_counts() {
    let server = Server::start();
    server.add_user(&server.workspace, "mallory@example.org", "auditor");
    let https = |request: crate::support::Request| request.header("x-forwarded-proto", "https");
    let body = json!({ "email": OWNER, "password": PASSWORD });
    let answer = https(server.request(Method::Post, "/api/v1/auth/login")).json(&body).send().status(200);
    let set = answer.header("set-cookie").expect("a cookie").to_owned();
    let (own, attributes) = set.split_once("; ").expect("attributes");
    assert!(own.starts_with("__Host-mailtrail_session="), "{set}");
    assert_eq!(attributes, "Path=/; Max-Age=604800; HttpOnly; SameSite=Lax; Secure");
    let planted = server.login("mallory@example.org");
    let who = |cookies: &str, is_https: bool| {
        let request = server.request(Method::Get, "/api/v1/me").cookie(cookies);
        let answer = if is_https { https(request) } else { request }.send();
        if answer.status == 200 { answer.text("email") } else { answer.status.to_string() }
    };
    assert_eq!(who(own, true), OWNER);
    // A sibling host's, before or behind it, in one header or two, or alone.
    assert_eq!(who(&format!("{planted}; {own}"), true), OWNER);
    assert_eq!(who(&format!("{own}; {planted}"), true), OWNER);
    assert_eq!(who(&planted, true), "401");
    // What no browser sends: two of the name are none.
    assert_eq!(who(&format!("__Host-{planted}; {own}"), true), "401");
    assert_eq!(who(&format!("{own}; __Host-{planted}"), true), "401");
    // Without https nobody's word counts for more; what is the same twice is one.
    let plain = server.login(OWNER);
    assert_eq!(who(&plain, false), OWNER);
    assert_eq!(who(&format!("{plain}; a=b; {plain}"), false), OWNER);
    assert_eq!(who(&format!("{planted}; {plain}"), false), "401");
    assert_eq!(who(&format!("{plain}; mailtrail_session=x"), false), "401");
    assert_eq!(who(own, false), "401");
    let logout = https(server.request(Method::Post, "/api/v1/auth/logout").cookie(own)).send().status(204);
    let ended = "__Host-mailtrail_session=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax; Secure";
    assert_eq!(logout.header("set-cookie"), Some(ended));
    assert_eq!(who(own, true), "401");
}

// ---------------------------------------------------------------------------------------------- the command line

fn run(server: &Server, arguments: &[&str], input: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mailtrail"));
    command.arg("--data").arg(server.config().data).arg("--json").args(arguments);
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("a command");
    child.stdin.take().expect("an input").write_all(input.as_bytes()).expect("a send");
    child.wait_with_output().expect("an end")
}

fn told(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

#[test]
fn the_operator_makes_an_account_with_one_command_and_invites_with_another() {
    let server = Server::start();
    let (other, _) = server.add_workspace("Other", EVE);
    let create = ["user", "create", "--email", "joan@example.org", "--role", "admin", "--workspace"];
    let made = told(&run(&server, &[&create[..], &[&server.workspace]].concat(), ""));
    let password = made["password"].as_str().expect("a password").to_owned();
    server.login_with("joan@example.org", &password);
    // In a second workspace she is asked; the password that was made for nothing is not shown.
    let invited = told(&run(&server, &[&create[..], &[&other]].concat(), ""));
    assert_eq!((&invited["password"], &invited["user_id"]), (&Value::Null, &Value::Null), "{invited}");
    let input = format!("{}\n{password}\n", invited["path"].as_str().expect("a path"));
    let refused = run(&server, &["invitation", "accept"], &input);
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("new_password: is required"), "{refused:?}");
    let joined = told(&run(&server, &["invitation", "accept"], &format!("{input}a password of her own\n")));
    assert_eq!((&joined["user_id"], &joined["workspace_id"]), (&made["id"], &json!(other)));
    server.login_with("joan@example.org", "a password of her own");
    // Somebody new can be asked too.
    let invite = ["user", "invite", "--email", "new@example.org", "--role", "auditor", "--workspace", &other];
    let invited = told(&run(&server, &invite, ""));
    let listed = told(&run(&server, &["invitation", "list", "--workspace", &other], ""));
    assert_eq!(listed["invitations"][0]["id"], invited["id"]);
    let id = invited["id"].as_str().expect("an id");
    assert_eq!(told(&run(&server, &["invitation", "withdraw", id], ""))["withdrawn"], true);
    let again = run(&server, &["invitation", "withdraw", id], "");
    assert!(String::from_utf8_lossy(&again.stderr).contains("Invitation not found"), "{again:?}");
}

// ---------------------------------------------------------------------------------------------- what is refused, and taken

#[test]
fn who_tries_what_they_may_not_is_in_the_trail_once_an_hour() {
    let scene = Scene::new();
    let Scene { server, other, .. } = &scene;
    let denied = |workspace: &str| -> Vec<Value> {
        let mut denied = scene.noted(workspace, "auth.denied");
        denied.reverse();
        denied
            .iter()
            .map(|entry| json!([entry["actor"], entry["metadata"]["route"], entry["metadata"]["status"]]))
            .collect()
    };
    let ask = |method: Method, path: &str, key: &str| server.request(method, path).key(key).send().status;
    let made = json!({ "name": "reader", "scopes": ["messages:read"] });
    let made = server.post("/api/v1/admin/keys", &made).status(201);
    let (reader, label) = (made.text("key"), format!("key reader ({})", made.text("hint")));
    for _ in 0..3 {
        assert_eq!(ask(Method::Get, "/v1/enforcement/events", &reader), 403);
        assert_eq!(ask(Method::Head, "/api/v1/enforcement/events", &reader), 403);
    }
    assert_eq!(ask(Method::Post, "/api/v1/admin/keys", &reader), 403);
    let path = format!("/api/v1/admin/keys/{}", made.text("id"));
    server.request(Method::Delete, &path).key(&server.key).send().status(204);
    for _ in 0..3 {
        assert_eq!(ask(Method::Get, "/v1/mailboxes/1/audit-logs", &reader), 401);
    }
    // Nobody known is noted nowhere.
    assert_eq!(ask(Method::Get, "/v1/enforcement/events", &format!("mt_live_{}", "0".repeat(48))), 401);
    server.request(Method::Get, "/api/v1/admin/keys").send().status(401);
    // A person is noted where they are a member, not where they looked.
    server.add_user(&server.workspace, "bob@example.org", "auditor");
    let bob = server.login("bob@example.org");
    let project = server.add_project(other, "Theirs");
    for path in [format!("/api/v1/projects/{project}/audit-log"), "/api/v1/admin/users".into()] {
        server.request(Method::Get, &path).cookie(&bob).send().status(403);
    }
    let expected = [
        json!([label, "GET /v1/enforcement/events", 403]),
        json!([label, "POST /api/v1/admin/keys", 403]),
        json!([label, "GET /v1/mailboxes/{mailbox_id}/audit-logs", 401]),
        json!(["bob@example.org", "GET /api/v1/projects/{id}/audit-log", 403]),
        json!(["bob@example.org", "GET /api/v1/admin/users", 403]),
    ];
    assert_eq!(denied(&server.workspace), expected);
    assert_eq!(denied(other), Vec::<Value>::new());
    // Once an hour.
    server.clock.set(time(START).plus_seconds(3600));
    for _ in 0..3 {
        assert_eq!(ask(Method::Get, "/v1/mailboxes/1/audit-logs", &reader), 401);
    }
    assert_eq!(denied(&server.workspace).len(), expected.len() + 1);
}

/// Events of one mailbox each, so that there is a filter for every one.
fn record(server: &Server, tenant: &str, n: usize) {
    let event = |n: usize| {
        json!({
            "tenant_id": tenant, "mailbox_address": format!("{n}@example.org"), "action_taken": "blocked",
            "sent_count": 26, "limit_value": 25,
        })
    };
    let events: Vec<Value> = (0..n).map(event).collect();
    server.post("/v1/enforcement/events", &json!({ "events": events })).status(201);
}

#[test]
fn who_reads_everything_by_pages_is_noted_like_who_exports_it() {
    let server = Server::start();
    let tenant = server.add_tenant(&server.workspace, "Acme");
    record(&server, &tenant, 1200);
    let reader = server.add_key(&server.workspace, &["enforcement:read"]);
    let get = |path: &str| {
        server
            .request(Method::Get, &format!("/v1/enforcement/events?{path}"))
            .key(&reader)
            .send()
            .status(200);
    };
    let noted = || {
        let path = format!("/api/v1/workspaces/{}/audit-log?action=enforcement.export", server.workspace);
        let page = server.operator(Method::Get, &path, &Value::Null).status(200).json();
        let entries = page["entries"].as_array().expect("entries").clone();
        entries.iter().rev().map(|entry| entry["metadata"].clone()).collect::<Vec<_>>()
    };
    // A thousand rows are none, however often they are looked at by HEAD.
    for page in 0..5 {
        get(&format!("limit=200&offset={}", page * 200));
    }
    let head = server.request(Method::Head, "/v1/enforcement/events?limit=200").key(&reader).send();
    assert_eq!((head.status, noted()), (200, vec![]));
    // Nor is it a way round to page by time, by order, by another name of the path, or with another number of rows.
    let path =
        "/api/v1/enforcement/events?limit=1&order=asc&from=2026-01-01T00:00:00Z&to=2027-01-01T00:00:00Z";
    server.request(Method::Get, path).key(&reader).send().status(200);
    let all = json!({ "asked": {}, "paged": true, "more_than": 1000 });
    assert_eq!(noted(), slice::from_ref(&all));
    for page in 0..10 {
        get(&format!("limit=200&offset={}", page * 100));
    }
    assert_eq!(noted(), slice::from_ref(&all));
    // Another filter is another reading.
    for _ in 0..6 {
        get(&format!("limit=200&tenant_id={tenant}"));
    }
    let of_tenant = json!({ "asked": { "tenant_id": tenant }, "paged": true, "more_than": 1000 });
    assert_eq!(noted(), [all.clone(), of_tenant.clone()]);
    // And as many as there are rows are all of it, once.
    for n in 0..1000 {
        get(&format!("mailbox_address={n}@example.org"));
    }
    assert_eq!(noted().len(), 2);
    for n in 1000..1100 {
        get(&format!("mailbox_address={n}@example.org"));
    }
    let many = noted().split_off(2);
    assert_eq!((many.len(), &many[0]["with_other_filters"]), (1, &json!(true)), "{many:?}");
    // The next hour counts anew, and another caller for itself.
    server.clock.set(time(START).plus_seconds(3600));
    for page in 0..6 {
        get(&format!("limit=200&offset={}", page * 200));
    }
    assert_eq!(noted().len(), 4);
    for page in 0..5 {
        server.get(&format!("/v1/enforcement/events?limit=200&offset={}", page * 200)).status(200);
    }
    assert_eq!(noted().len(), 4);
}

#[test]
fn entries_and_proofs_one_by_one_are_pages_of_one() {
    let server = Server::start();
    let mailbox = server.add_mailbox(&server.workspace, "agent@example.org", None, None);
    let entries = format!("/v1/mailboxes/{mailbox}/audit-logs");
    server.post(&entries, &json!({ "message_id": "one@example.org", "outcome": "delivered" })).status(201);
    let exports =
        "SELECT count(*) FROM activity JOIN texts ON texts.id = action WHERE text = 'messages.export'";
    for path in ["one@example.org", "one@example.org/proof"] {
        for _ in 0..500 {
            server.get(&format!("{entries}/{path}")).status(200);
        }
    }
    assert_eq!(server.db_number(exports), 0);
    server.get(&format!("{entries}?limit=1")).status(200);
    assert_eq!(server.db_number(exports), 1);
}
