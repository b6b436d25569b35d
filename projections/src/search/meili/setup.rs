//! Setting Meilisearch up: the index with its settings, and one key for each who needs one. Doing it twice changes nothing.

use std::collections::{BTreeMap, HashMap};

use meilisearch_sdk::client::SwapIndexes;
use meilisearch_sdk::documents::DocumentsQuery;
use meilisearch_sdk::errors::{Error, ErrorCode};
use meilisearch_sdk::key::{Action, KeyBuilder};
use meilisearch_sdk::settings::{
    FacetSortValue, FacetingSettings, FilterFeatureModes, FilterFeatures, FilterableAttribute,
    FilterableAttributesSettings, MinWordSizeForTypos, PaginationSetting, Settings, TypoToleranceSettings,
};
use secrecy::SecretString;

use super::super::folded::TYPOS;
use super::super::{FACET_VALUES, SearchError, Side};
use super::{Held, Meili, PATIENCE, timed};

/// The ids of our keys. Meilisearch derives a key from its id and the master key, so they stay the same.
const SEARCH_KEY: &str = "5d7b3a4e-6f0c-4b1d-9a52-1c1d0e6a7f01";
const INDEX_KEY: &str = "5d7b3a4e-6f0c-4b1d-9a52-1c1d0e6a7f02";
/// How deep a search may page, and a little more.
const PAGES: PaginationSetting = PaginationSetting { max_total_hits: 1_000_000 };

/// Keys of least privilege.
pub struct MeiliKeys {
    /// May search.
    pub search: SecretString,
    /// May write, build and swap indexes.
    pub index: SecretString,
}

impl Meili {
    /// Makes the index with its settings, and the keys. This client must hold the master key.
    ///
    /// # Errors
    /// When the server does not answer, or does not take the master key.
    pub async fn provision(&self) -> Result<MeiliKeys, SearchError> {
        self.create(Side::Live).await?;
        let index = [
            Action::DocumentsAdd,
            Action::DocumentsGet,
            Action::DocumentsDelete,
            Action::IndexesCreate,
            Action::IndexesDelete,
            Action::Unknown("indexes.swap".to_owned()),
            Action::SettingsUpdate,
            Action::TasksGet,
        ];
        let live = self.uid(Side::Live);
        let both = vec![live.clone(), self.uid(Side::Next)];
        Ok(MeiliKeys {
            search: self.key(SEARCH_KEY, "Ludoteca: gateway", vec![Action::Search], vec![live]).await?,
            index: self.key(INDEX_KEY, "Ludoteca: indexer", index.to_vec(), both).await?,
        })
    }

    async fn key(
        &self,
        id: &str,
        name: &str,
        actions: Vec<Action>,
        indexes: Vec<String>,
    ) -> Result<SecretString, SearchError> {
        // One pair of keys for each index of the server.
        let id = id_for(id, &self.index);
        let known = timed(PATIENCE, self.client.get_key(&id)).await;
        match known {
            Ok(key) => return Ok(key.key.into()),
            Err(SearchError::Meili(Error::Meilisearch(error))) if error.error_code == ErrorCode::ApiKeyNotFound => (),
            Err(error) => return Err(error),
        }
        let mut wanted = KeyBuilder::new();
        wanted.with_uid(id).with_name(name).with_actions(actions).with_indexes(indexes);
        Ok(timed(PATIENCE, self.client.create_key(&wanted)).await?.key.into())
    }

    /// Makes an index where there is none, and gives it its settings.
    async fn create(&self, side: Side) -> Result<(), SearchError> {
        match self.done(self.client.create_index(self.uid(side), Some("game_id"))).await {
            Ok(()) => (),
            // An index that is there already fails its task; what else is wrong, the settings will tell.
            Err(SearchError::Task(_)) => (),
            Err(error) => return Err(error),
        }
        self.done(self.side(side).set_settings(&self.settings())).await
    }

    pub(in super::super) async fn begin(&self) -> Result<(), SearchError> {
        // A server that lost its data has no live index either, and nothing could be swapped with it.
        self.create(Side::Live).await?;
        match self.done(self.client.delete_index(self.uid(Side::Next))).await {
            // There is none where the last build came to its end.
            Ok(()) | Err(SearchError::Task(_)) => self.create(Side::Next).await,
            Err(error) => Err(error),
        }
    }

    /// Swaps the indexes, and removes the old one once the new one is seen to be live with as many games.
    pub(in super::super) async fn swap(&self, games: i64) -> Result<(), SearchError> {
        let indexes = [SwapIndexes { indexes: (self.uid(Side::Live), self.uid(Side::Next)), rename: None }];
        timed(PATIENCE, self.client.swap_indexes(&indexes)).await?;
        // A key that is bound to indexes cannot always see the swap's own task. Tasks are done in order, so the swap
        // is done when the next one is, for which one serves that changes nothing.
        let live = self.side(Side::Live);
        self.done(live.set_pagination(PAGES)).await?;
        let held = timed(PATIENCE, live.get_documents_with::<Held>(DocumentsQuery::new(&live).with_limit(1))).await?;
        if i64::from(held.total) != games {
            return Err(SearchError::Task(format!("swapped in {} games instead of {games}", held.total)));
        }
        self.done(self.client.delete_index(self.uid(Side::Next))).await
    }

    fn settings(&self) -> Settings {
        let typos = MinWordSizeForTypos { one_typo: Some(TYPOS.0), two_typos: Some(TYPOS.1) };
        let by_count = BTreeMap::from([("*".to_owned(), FacetSortValue::Count)]);
        let mut synonyms: HashMap<&str, Vec<&str>> = HashMap::new();
        for (word, others) in &self.words.synonyms {
            synonyms.insert(word, others.iter().map(String::as_str).collect());
        }
        // Labels are counted and compared, never themselves searched.
        let filterable = [
            (vec!["game_id", "genres", "tags", "platforms"], false),
            (vec!["price", "age_rating", "release_year"], true),
        ]
        .map(|(names, comparison)| {
            FilterableAttribute::Settings(FilterableAttributesSettings {
                attribute_patterns: names.into_iter().map(str::to_owned).collect(),
                features: FilterFeatures {
                    facet_search: false,
                    filter: FilterFeatureModes { equality: true, comparison },
                },
            })
        });
        Settings::new()
            .with_searchable_attributes(["title", "compact", "genres", "tags", "developer", "publisher", "description"])
            .with_filterable_attributes_advanced(filterable)
            // Exact distances between words cost half of all indexing; a title is short enough to do without.
            .with_proximity_precision("byAttribute")
            .with_sortable_attributes(["price", "release_date", "sales"])
            .with_ranking_rules([
                "sort",
                "words",
                "typo",
                "proximity",
                "attribute",
                "exactness",
                "sales:desc",
                "release_date:desc",
            ])
            .with_typo_tolerance(TypoToleranceSettings {
                enabled: Some(true),
                min_word_size_for_typos: Some(typos),
                ..TypoToleranceSettings::default()
            })
            .with_faceting(FacetingSettings {
                max_values_per_facet: usize::try_from(FACET_VALUES).unwrap_or(usize::MAX),
                sort_facet_values_by: Some(by_count),
            })
            .with_pagination(PAGES)
            .with_synonyms(synonyms)
            .with_stop_words(self.words.stop_words.iter())
    }
}

/// A version 4 id, as Meilisearch wants it, from ours and the index's name.
fn id_for(id: &str, index: &str) -> String {
    let namespace = uuid::Uuid::parse_str(id).unwrap_or_default();
    let named = uuid::Uuid::new_v5(&namespace, index.as_bytes());
    uuid::Builder::from_random_bytes(*named.as_bytes()).into_uuid().to_string()
}
