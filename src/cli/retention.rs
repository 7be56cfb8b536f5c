//! `retention`: what is kept how long, and making go what is older.

use serde_json::{Value, json};

use super::Context;
use super::arguments::{Log, RetentionCommand};
use super::client::Client;
use super::table::{card, cell};
use crate::error::{Error, Result};

const PATH: &str = "/api/v1/admin/retention";

pub fn run(context: &Context, command: &RetentionCommand) -> Result<()> {
    match command {
        RetentionCommand::Show => {
            let shown = Client::open(context)?.get(PATH, Vec::new())?;
            context.answer(&shown, |shown| {
                format!("{}last run     {}", days(&shown["days"]), cell(&shown["last_run"]["finished_at"]))
            })
        }
        RetentionCommand::Set { log, days: given } => {
            let body = json!({ word(*log): value(given)? });
            let shown = Client::open(context)?.patch(PATH, &body)?;
            context.answer(&shown, |shown| days(&shown["days"]))
        }
        RetentionCommand::Run { dry_run } => {
            let outcome =
                Client::open(context)?.post(&format!("{PATH}/run"), &json!({ "dry_run": dry_run }))?;
            context.answer(&outcome, |outcome| {
                let verb = if *dry_run { "Would delete" } else { "Deleted" };
                format!("{verb}:\n{}", card(&outcome["deleted"]))
            })
        }
    }
}

fn word(log: Log) -> &'static str {
    match log {
        Log::Enforcement => "enforcement",
        Log::Messages => "messages",
        Log::Activity => "activity",
    }
}

fn value(given: &str) -> Result<Value> {
    match given {
        "default" => Ok(Value::Null),
        "forever" => Ok("forever".into()),
        days => days.parse::<u64>().map(Value::from).map_err(|_| {
            Error::usage(format!("{days:?} is not a number of days"), "give 1 to 36500, forever, or default")
        }),
    }
}

fn days(days: &Value) -> String {
    let of = |log: &str| match &days[log] {
        Value::Null => "kept for ever".to_owned(),
        days => format!("{days} days"),
    };
    format!(
        "enforcement  {}\nmessages     {} (a mailbox's own days go first)\nactivity     {}\n",
        of("enforcement"),
        of("messages"),
        of("activity"),
    )
}
