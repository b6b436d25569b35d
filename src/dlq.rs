//! `ludoteca dlq`: dead letters from the command line, through the gateway's routes, so that each action is an event
//! with the admin who took it.

use std::num::NonZeroU32;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use clap::{Args, Subcommand};
use reqwest::Method;
use serde::Deserialize;
use serde_json::json;

use crate::client::Api;
use crate::config::ClientConfig;
use crate::progress;
use crate::table::{Output, Table};

/// `ludoteca dlq`
#[derive(Debug, Args)]
pub struct DlqArgs {
    #[command(flatten)]
    client: ClientConfig,
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List dead letters, oldest first
    Ls {
        #[command(flatten)]
        filter: Filter,
        #[command(flatten)]
        output: Output,
    },
    /// Show one
    Show {
        /// Its sequence, as `ls` prints it
        sequence: u64,
    },
    /// Put work back into its queue: that of some, or of all that match
    Redrive {
        #[command(flatten)]
        which: Which,
        /// Why, for those who come after
        #[arg(long)]
        reason: String,
        /// How many in a second
        #[arg(long, default_value = "10")]
        rate: NonZeroU32,
    },
    /// Forget work: that of some, or of all that match
    Discard {
        #[command(flatten)]
        which: Which,
        /// Why, for those who come after
        #[arg(long)]
        reason: String,
    },
}

#[derive(Debug, Args)]
struct Filter {
    /// Only of this class: exhausted or undeliverable; or declined, which needs no action and is listed only on request
    #[arg(long)]
    class: Option<String>,
    /// Only with this text in the cause
    #[arg(long)]
    cause: Option<String>,
    /// Only of this order
    #[arg(long)]
    order: Option<String>,
}

#[derive(Debug, Args)]
struct Which {
    /// Their sequences, as `ls` prints them
    sequences: Vec<u64>,
    /// All that match, instead of some
    #[arg(long, conflicts_with = "sequences")]
    all: bool,
    #[command(flatten)]
    filter: Filter,
}

/// A dead letter as the store tells of it.
#[derive(Debug, Deserialize)]
struct Letter {
    sequence: u64,
    class: String,
    payment_id: Option<String>,
    order_id: Option<String>,
    failed_at: String,
    cause: String,
}

#[derive(Debug, Deserialize)]
struct Page {
    items: Vec<Letter>,
    next: Option<String>,
}

/// Does what was asked, and prints what came of it.
///
/// # Errors
/// When the store does not answer, or refuses.
pub async fn run(args: &DlqArgs) -> Result<()> {
    let api = Api::log_in_admin(&args.client).await?;
    match &args.action {
        Action::Ls { filter, output } => list(&api, filter, *output).await,
        Action::Show { sequence } => {
            println!("{:#}", api.get(&format!("/dlq/{sequence}")).await?);
            println!("Next: ludoteca dlq redrive {sequence} --reason WHY, or discard");
            Ok(())
        }
        Action::Redrive { which, reason, rate } => {
            let pause = Duration::from_secs(1).checked_div(rate.get()).unwrap_or_default();
            let done = each(&api, which, "redrive", reason, pause).await?;
            println!("Redrove {}. Next: ludoteca dlq ls", counted(done));
            Ok(())
        }
        Action::Discard { which, reason } => {
            let done = each(&api, which, "discard", reason, Duration::ZERO).await?;
            println!("Discarded {}.", counted(done));
            Ok(())
        }
    }
}

async fn list(api: &Api, filter: &Filter, output: Output) -> Result<()> {
    let letters = matching(api, filter).await?;
    let mut table = Table::new(["sequence", "class", "payment", "failed_at", "cause"]);
    for Letter { sequence, class, payment_id, failed_at, cause, .. } in &letters {
        table.row([json!(sequence), json!(class), json!(payment_id), json!(failed_at.get(..19)), json!(cause)]);
    }
    table.print(output);
    if !output.json {
        let others = if filter.class.is_none() { " What was declined is listed with --class declined." } else { "" };
        println!("{}.{others}", counted(letters.len()));
    }
    Ok(())
}

/// All dead letters that match.
async fn matching(api: &Api, filter: &Filter) -> Result<Vec<Letter>> {
    let (mut letters, mut cursor) = (Vec::new(), None::<String>);
    loop {
        let request = api.request(Method::GET, "/dlq").query(&[("limit", "100")]);
        let request = request.query(&[("class", &filter.class), ("cursor", &cursor)]);
        let page: Page = serde_json::from_value(Api::send(request).await?)?;
        letters.extend(page.items.into_iter().filter(|letter| filter.matches(letter)));
        if page.next.is_none() {
            return Ok(letters);
        }
        cursor = page.next;
    }
}

impl Filter {
    fn matches(&self, letter: &Letter) -> bool {
        let of_order = |order| letter.order_id.as_ref() == Some(order);
        self.cause.as_ref().is_none_or(|cause| letter.cause.contains(cause.as_str()))
            && self.order.as_ref().is_none_or(of_order)
    }
}

/// Acts on each, one after the other; how many there were.
async fn each(api: &Api, which: &Which, action: &str, reason: &str, pause: Duration) -> Result<usize> {
    ensure!(which.all || !which.sequences.is_empty(), "name dead letters by their sequences, or say --all");
    let sequences = if which.all {
        matching(api, &which.filter).await?.iter().map(|letter| letter.sequence).collect()
    } else {
        which.sequences.clone()
    };
    let bar = progress::bar("dead letters", sequences.len() as u64);
    for (done, sequence) in sequences.iter().enumerate() {
        let path = format!("/dlq/{sequence}/{action}");
        api.post(&path, &json!({ "reason": reason }))
            .await
            .with_context(|| format!("{done} were done; then {sequence}"))?;
        bar.inc(1);
        tokio::time::sleep(pause).await;
    }
    bar.finish_and_clear();
    Ok(sequences.len())
}

fn counted(letters: usize) -> String {
    format!("{letters} dead letter{}", if letters == 1 { "" } else { "s" })
}
