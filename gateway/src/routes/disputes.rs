use std::sync::Arc;

use chrono::{DateTime, Utc};
use poem::web::Data;
use poem_openapi::param::Query;
use poem_openapi::payload::Json;
use poem_openapi::{Enum, Object, OpenApi};
use projections::disputes::DisputeView;

use super::Tag;
use crate::Store;
use crate::auth::SignedIn;
use crate::extract::{self, MoneyDto};
use crate::problem::Problem;

pub(crate) struct Disputes;

/// A payment that the buyer's bank disputes, or did.
#[derive(Object)]
struct Dispute {
    /// The PSP's id of it.
    id: String,
    payment_id: String,
    order_id: String,
    user_id: String,
    amount: MoneyDto,
    /// The PSP's word, such as `fraudulent`.
    reason: String,
    /// `open`, `won` or `lost`.
    status: String,
    opened_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

/// Where a dispute stands.
#[derive(Clone, Copy, Enum, strum::IntoStaticStr)]
#[oai(rename = "DisputeStatus", rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
enum DisputeStatusDto {
    /// The bank has not decided.
    Open,
    /// For the store.
    Won,
    /// For the buyer.
    Lost,
}

#[derive(Object)]
struct DisputePage {
    items: Vec<Dispute>,
    next: Option<String>,
}

#[OpenApi(tag = "Tag::Payments")]
impl Disputes {
    /// Disputed payments, newest first, for admins. Evidence is given at the PSP.
    #[oai(path = "/disputas", method = "get", operation_id = "listDisputes")]
    async fn list(
        &self,
        store: Data<&Arc<Store>>,
        SignedIn(actor): SignedIn,
        /// Only those that stand so.
        status: Query<Option<DisputeStatusDto>>,
        limit: Query<Option<i64>>,
        cursor: Query<Option<String>>,
    ) -> Result<Json<DisputePage>, Problem> {
        actor.must_be_admin()?;
        let (limit, after) = extract::page(&limit, &cursor)?;
        let page = projections::disputes::page(store.pool(), status.0.map(<&str>::from), limit, after).await?;
        let items = page.items.into_iter().map(Dispute::from).collect();
        Ok(Json(DisputePage { items, next: page.next.map(projections::Cursor::encode) }))
    }
}

impl From<DisputeView> for Dispute {
    fn from(view: DisputeView) -> Self {
        Self {
            id: view.dispute,
            payment_id: view.payment_id.to_string(),
            order_id: view.order_id.to_string(),
            user_id: view.user_id.to_string(),
            amount: MoneyDto::of(view.amount, view.currency),
            reason: view.reason,
            status: view.status,
            opened_at: view.opened_at,
            updated_at: view.updated_at,
        }
    }
}
