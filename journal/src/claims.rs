//! Claims as they are kept: what only one may hold, decided by a primary key in the statement that appends the events.
//!
//! They follow from the events ([`domain::StoreEvent::claims`]), so they can be folded again, to be compared and restored.

use domain::{Claim, ClaimChange, ClaimKind, OrderId, StoreEvent, UserId};
use sqlx::{Connection, PgConnection, Row};
use uuid::Uuid;

use crate::connect::{connect_patiently, once_more};
use crate::position::Position;
use crate::read::{COLUMNS, Recorded, recorded};
use crate::repository::Journal;
use crate::{JournalError, Vault};

/// A claim as its table keys it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClaimKey {
    /// What it is about.
    pub kind: ClaimKind,
    /// Which one: a keyed hash of the address, or `<buyer>:<game>`.
    pub key: String,
}

/// What an append does to claims: what it releases is free before it takes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Claims {
    /// Taken for the aggregate.
    pub taken: Vec<ClaimKey>,
    /// Given up by it.
    pub released: Vec<Release>,
}

/// What an aggregate gives up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Release {
    /// Every claim of a kind.
    All(ClaimKind),
    /// A single claim.
    One(ClaimKey),
}

impl Release {
    pub(crate) fn kind(&self) -> ClaimKind {
        match self {
            Self::All(kind) | Self::One(ClaimKey { kind, .. }) => *kind,
        }
    }

    pub(crate) fn key(&self) -> Option<&str> {
        match self {
            Self::All(_) => None,
            Self::One(claim) => Some(&claim.key),
        }
    }
}

impl Vault {
    /// What events do to claims. An address that nobody can read any more claims nothing.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn claims(&self, events: &[StoreEvent]) -> Result<Claims, JournalError> {
        let mut claims = Claims::default();
        for change in events.iter().flat_map(StoreEvent::claims) {
            match change {
                ClaimChange::Take(claim) => claims.taken.extend(self.claim_key(&claim).await?),
                ClaimChange::Release(claim) => {
                    claims.released.extend(self.claim_key(&claim).await?.map(Release::One));
                }
                ClaimChange::ReleaseAll(kind) => claims.released.push(Release::All(kind)),
            }
        }
        Ok(claims)
    }

    async fn claim_key(&self, claim: &Claim) -> Result<Option<ClaimKey>, JournalError> {
        Ok(match claim {
            Claim::Ownership(buyer, game) => {
                Some(ClaimKey { kind: ClaimKind::Ownership, key: format!("{buyer}:{game}") })
            }
            Claim::Email(user, sealed) => match self.subject(*user).await? {
                Some(key) => Some(self.email_claim(&key.open(sealed)?.email)),
                None => None,
            },
        })
    }
}

impl Journal {
    /// The aggregate that holds a claim, if any does.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn holder(&self, claim: &ClaimKey) -> Result<Option<Uuid>, JournalError> {
        let row = once_more(|| {
            sqlx::query("select holder from journal.claims where kind = $1 and key = $2")
                .bind(claim.kind.to_string())
                .bind(&claim.key)
                .fetch_optional(self.pool())
        })
        .await?;
        Ok(row.map(|row| row.try_get("holder")).transpose()?)
    }

    /// The orders by which somebody holds a game, or is about to.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn orders_of(&self, buyer: UserId) -> Result<Vec<OrderId>, JournalError> {
        let orders: Vec<Uuid> = once_more(|| {
            sqlx::query_scalar("select distinct holder from journal.claims where kind = $1 and key like $2 || ':%'")
                .bind(ClaimKind::Ownership.to_string())
                .bind(buyer.to_string())
                .fetch_all(self.pool())
        })
        .await?;
        Ok(orders.into_iter().map(OrderId::from_uuid).collect())
    }

    /// Who is or ever was an admin.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn once_admins(&self) -> Result<Vec<Uuid>, JournalError> {
        let admins = sqlx::query_scalar(
            "select distinct aggregate_id::uuid from journal.events
             where aggregate_type = 'user' and payload->>'role' = 'admin'",
        );
        Ok(admins.fetch_all(self.pool()).await?)
    }

    /// Compares the claims with the fold of the journal; `restore` puts the fold in their place. Whoever appends claims
    /// waits for the last moments of it. `progress` hears how many events were folded.
    ///
    /// # Errors
    /// When the database does not answer; nothing is changed then.
    pub async fn fold_claims(
        &self,
        vault: &Vault,
        restore: bool,
        progress: impl Fn(i64),
    ) -> Result<ClaimsFold, JournalError> {
        let mut db = connect_patiently(self.pool()).await?;
        sqlx::query("create temporary table folded (like journal.claims including all)").execute(&mut db).await?;
        let (mut events, mut position) = (0_i64, Position::default());
        loop {
            let batch = self.committed_after(position, BATCH).await?;
            let Some(last) = batch.last() else { break };
            position = last.position;
            fold(&mut db, vault, &batch).await?;
            events = events.saturating_add(i64::try_from(batch.len()).unwrap_or_default());
            progress(events);
        }
        let mut tx = db.begin().await?;
        sqlx::query("lock table journal.claims in share row exclusive mode").execute(&mut *tx).await?;
        // Nobody is appending claims now, so what is committed is all there is of them.
        let rest = sqlx::query(&format!(
            "select {COLUMNS} from journal.events where (epoch, tx_id, position) > ($1, $2::text::xid8, $3)
             order by epoch, tx_id, position"
        ))
        .bind(position.epoch)
        .bind(position.tx_id.to_string())
        .bind(position.position)
        .fetch_all(&mut *tx)
        .await?;
        let rest = rest.iter().map(recorded).collect::<sqlx::Result<Vec<_>>>()?;
        fold(&mut tx, vault, &rest).await?;
        let (claims, missing, surplus) = sqlx::query_as(
            "select (select count(*) from journal.claims),
                    (select count(*) from (table folded except table journal.claims) as missing),
                    (select count(*) from (table journal.claims except table folded) as surplus)",
        )
        .fetch_one(&mut *tx)
        .await?;
        if restore {
            sqlx::query("delete from journal.claims held where not exists (select from folded f where f = held)")
                .execute(&mut *tx)
                .await?;
            sqlx::query("insert into journal.claims select * from folded on conflict do nothing")
                .execute(&mut *tx)
                .await?;
            tx.commit().await?;
        }
        Ok(ClaimsFold { claims, missing, surplus })
    }
}

/// How claims and the fold of the journal differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClaimsFold {
    /// How many claims are held.
    pub claims: i64,
    /// Those that should be held and are not, or by another.
    pub missing: i64,
    /// Those that are held and should not be, or by another.
    pub surplus: i64,
}

const BATCH: i64 = 1_000;

/// Transactions that waited for one another may stand in the journal the other way round: the later holder took the
/// claim after the earlier one gave it up, so a holder releases only what it holds, and a taker takes from anyone.
async fn fold(db: &mut PgConnection, vault: &Vault, batch: &[Recorded]) -> Result<(), JournalError> {
    for recorded in batch {
        let Recorded { aggregate_type, aggregate_id, event_type, event_version, payload, .. } = recorded;
        let event = StoreEvent::read(aggregate_type, aggregate_id, event_type, event_version, payload.get());
        let event = event.map_err(|error| sqlx::Error::Decode(Box::new(error)))?;
        let Claims { taken, released } = vault.claims(&[event]).await?;
        if !released.is_empty() {
            sqlx::query(
                "delete from folded using unnest($2::text[], $3::text[]) as given (k, key)
                 where holder = $1::text::uuid and kind = given.k and folded.key = coalesce(given.key, folded.key)",
            )
            .bind(aggregate_id)
            .bind(released.iter().map(|given| given.kind().to_string()).collect::<Vec<_>>())
            .bind(released.iter().map(Release::key).collect::<Vec<_>>())
            .execute(&mut *db)
            .await?;
        }
        if !taken.is_empty() {
            sqlx::query(
                "insert into folded (kind, key, holder)
                 select k, taken.key, $1::text::uuid from unnest($2::text[], $3::text[]) as taken (k, key)
                 on conflict (kind, key) do update set holder = excluded.holder",
            )
            .bind(aggregate_id)
            .bind(taken.iter().map(|claim| claim.kind.to_string()).collect::<Vec<_>>())
            .bind(taken.iter().map(|claim| claim.key.as_str()).collect::<Vec<_>>())
            .execute(&mut *db)
            .await?;
        }
    }
    Ok(())
}
