//! In which order a sweep looks at the slices: read from their registry as they are needed.
//!
//! The registry is one partition, by company, solution and kind. A page of it shows many small companies; of one that goes on
//! behind the page, the rest is read when its turn comes, and the walk skips to the next company. So however many
//! slices a company has, another's first look waits for a page of it alone. Within a company its solutions take turns
//! in the same way.

use crate::tenancy::{PageRequest, SliceEntry, Tenancy, TenancyError};
use rules::names::{CompanyName, Tenant};
use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write as _;

/// Entries of a page of the whole registry.
const PAGE: usize = 1_000;
/// Pages of the whole registry read before further looks.
const PAGES_A_BATCH: usize = 4;
/// Entries of a page of one company, and most of a company that are held.
const COMPANY_PAGE: usize = 100;
/// Most entries held, of 200 bytes each, before a further page of the whole registry is read.
const ENTRIES_HELD_MAX: usize = 20_000;
/// Most parts into which a company is split; beyond, its solutions come one after the other.
const PARTS_MAX: usize = 64;
/// Most bytes of what is noted for the next sweep: an attribute of an item, which ends at 400 KB.
const NOTE_BYTES_MAX: usize = 256 * 1024;
/// After all that follows it in a key: neither kinds nor solutions begin with it.
const AFTER_ALL: char = '~';

/// A part of the registry that is to be read.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Part {
    /// What its keys begin with: nothing, a company or a solution.
    prefix: String,
    /// Behind which key it begins; at its start if empty.
    after: String,
    /// What its slices are asked to enqueue again.
    ask: Option<String>,
    /// Whether what the last sweep left is passed over, since this one began with it.
    is_rest: bool,
}

impl Part {
    fn behind(&self, prefix: &str, after: String) -> Self {
        Self { prefix: prefix.to_owned(), after, ..self.clone() }
    }

    fn has(&self, key: &str) -> bool {
        key.starts_with(&self.prefix) && key > self.after.as_str()
    }

    /// Whether all of `other` is in it.
    fn covers(&self, other: &Part) -> bool {
        other.prefix.starts_with(&self.prefix) && (self.after.is_empty() || other.after >= self.after)
    }
}

/// A kind whose slices are looked at next.
#[derive(Debug)]
pub(super) struct Look {
    pub(super) entry: SliceEntry,
    /// What they are asked to enqueue again.
    pub(super) ask: Option<String>,
}

/// What is to be looked at of one company.
#[derive(Debug, Default)]
struct Feed {
    /// Entries of the page that was read last.
    entries: VecDeque<SliceEntry>,
    /// Where that page is from, behind what of it was given out.
    page: Option<Part>,
    /// What was not read yet.
    parts: VecDeque<Part>,
}

/// The walk through the registry.
#[derive(Debug, Default)]
pub(super) struct Registry {
    /// What of the whole was not read yet.
    whole: VecDeque<Part>,
    /// With what it began.
    first: Vec<Part>,
    companies: BTreeMap<CompanyName, Feed>,
    ring: VecDeque<CompanyName>,
}

impl Registry {
    /// Everything, beginning with what `note` says that the last sweep left; all of it is asked `ask`.
    pub(super) fn all(note: &str, ask: Option<&str>) -> Self {
        let mut registry = Self::default();
        for line in note.lines() {
            let mut fields = line.split('\t').map(str::to_owned);
            let (Some(prefix), Some(after)) = (fields.next(), fields.next()) else { continue };
            let ask = ask.map(str::to_owned).or(fields.next().filter(|ask| !ask.is_empty()));
            registry.begin(Part { prefix, after, ask, is_rest: false });
        }
        let rest = Part {
            prefix: String::new(),
            after: String::new(),
            ask: ask.map(str::to_owned),
            is_rest: !registry.first.is_empty(),
        };
        registry.whole.push_back(rest);
        registry
    }

    /// One solution's, which is asked `ask`.
    pub(super) fn of(tenant: &Tenant, ask: &str) -> Self {
        let mut registry = Self::default();
        let (prefix, ask) = (format!("{tenant}/"), Some(ask.to_owned()));
        registry.begin(Part { prefix, after: String::new(), ask, is_rest: false });
        registry
    }

    fn begin(&mut self, part: Part) {
        let company = part.prefix.split_once('/').map(|(company, _)| company.parse());
        match company {
            None => self.whole.push_back(part.clone()),
            Some(Ok(company)) => self.feed(company).parts.push_back(part.clone()),
            Some(Err(_)) => return,
        }
        self.first.push(part);
    }

    /// The next kinds to look at, of `slices` slices or a few more: companies one after the other, as far as each
    /// `may_look`. What cannot be read stays where it is, with the error.
    pub(super) async fn next(
        &mut self,
        tenancy: &Tenancy,
        slices: usize,
        may_look: impl Fn(&CompanyName) -> bool,
    ) -> (Vec<Look>, Option<TenancyError>) {
        for _ in 0..PAGES_A_BATCH {
            if self.held() >= ENTRIES_HELD_MAX {
                break;
            }
            let Some(part) = self.whole.pop_front() else { break };
            if let Err(error) = self.discover(tenancy, &part).await {
                self.whole.push_front(part);
                return (Vec::new(), Some(error));
            }
        }
        let (mut looks, mut count, mut passed) = (Vec::new(), 0, 0);
        while count < slices && passed < self.ring.len() {
            let Some(company) = self.ring.pop_front() else { break };
            if !may_look(&company) {
                self.ring.push_back(company);
                passed += 1;
                continue;
            }
            let Some(feed) = self.companies.get_mut(&company) else { continue };
            match feed.next(tenancy, &self.first).await {
                Ok(Some(look)) => {
                    count += look.entry.shards.due as usize;
                    passed = 0;
                    looks.push(look);
                    self.ring.push_back(company);
                }
                Ok(None) => {
                    self.companies.remove(&company);
                }
                Err(error) => {
                    self.ring.push_front(company);
                    return (looks, Some(error));
                }
            }
        }
        (looks, None)
    }

    /// Slices that were read and not looked at; a part that was not read counts as one.
    pub(super) fn left(&self) -> usize {
        let of = |feed: &Feed| -> usize {
            let read = feed.entries.iter().map(|entry| entry.shards.due as usize);
            read.sum::<usize>() + feed.parts.len()
        };
        self.whole.len() + self.companies.values().map(of).sum::<usize>()
    }

    /// Entries in memory.
    pub(super) fn held(&self) -> usize {
        self.companies.values().map(|feed| feed.entries.len()).sum()
    }

    /// What is left, for the next sweep to begin with; as much as an item has room for.
    pub(super) fn note(&self) -> String {
        // In the order of their turns.
        let feeds = self.ring.iter().filter_map(|company| self.companies.get(company));
        let mut note = String::new();
        for part in self.whole.iter().chain(feeds.flat_map(Feed::left)) {
            if note.len() + part.prefix.len() + part.after.len() + 64 > NOTE_BYTES_MAX {
                break;
            }
            let _ = writeln!(note, "{}\t{}\t{}", part.prefix, part.after, part.ask.as_deref().unwrap_or(""));
        }
        note
    }

    fn feed(&mut self, company: CompanyName) -> &mut Feed {
        self.companies.entry(company.clone()).or_insert_with(|| {
            self.ring.push_back(company);
            Feed::default()
        })
    }

    /// Reads a page of the whole and gives each company its entries.
    async fn discover(&mut self, tenancy: &Tenancy, part: &Part) -> Result<(), TenancyError> {
        let page = read(tenancy, part, PAGE).await?;
        let mut by_company: Vec<(CompanyName, Vec<SliceEntry>)> = Vec::new();
        for entry in page.items {
            match by_company.last_mut() {
                Some((company, entries)) if *company == entry.tenant.company => entries.push(entry),
                _ => by_company.push((entry.tenant.company.clone(), vec![entry])),
            }
        }
        if let Some(next) = &page.next {
            // The last company's own part goes on where the page ends.
            let last = by_company.last().map(|(company, _)| format!("{company}/{AFTER_ALL}"));
            self.whole.push_front(part.behind("", last.unwrap_or_else(|| next.clone())));
        }
        let count = by_company.len();
        for (index, (company, entries)) in by_company.into_iter().enumerate() {
            let first = std::mem::take(&mut self.first);
            let own = part.behind(&format!("{company}/"), String::new());
            let feed = self.feed(company);
            if feed.page.is_some() || !feed.parts.is_empty() {
                // It has begun with what was left of it.
                feed.parts.push_back(own);
            } else {
                let next = page.next.clone().filter(|_| index + 1 == count);
                feed.load(own, entries, next, &first);
            }
            self.first = first;
        }
        Ok(())
    }
}

impl Feed {
    /// What is left of it; a part that is within another has its turn with that.
    fn left(&self) -> Vec<&Part> {
        let page = self.page.iter().filter(|_| !self.entries.is_empty());
        let mut left: Vec<&Part> = Vec::new();
        for part in page.chain(&self.parts) {
            if !left.iter().any(|other| other.covers(part)) {
                left.retain(|other| !part.covers(other));
                left.push(part);
            }
        }
        left
    }

    async fn next(&mut self, tenancy: &Tenancy, first: &[Part]) -> Result<Option<Look>, TenancyError> {
        loop {
            if let Some(entry) = self.entries.pop_front() {
                let Some(page) = &mut self.page else { continue };
                page.after = entry.sort_key();
                return Ok(Some(Look { entry, ask: page.ask.clone() }));
            }
            // What was left by the last sweep comes before what it has seen.
            let next = self.parts.iter().position(|part| !part.is_rest).unwrap_or(0);
            let Some(part) = self.parts.remove(next) else { return Ok(None) };
            match read(tenancy, &part, COMPANY_PAGE).await {
                Ok(page) => self.load(part, page.items, page.next, first),
                Err(error) => {
                    self.parts.push_front(part);
                    return Err(error);
                }
            }
        }
    }

    /// Takes entries that were read at the beginning of `part`; behind `next` there is more.
    fn load(&mut self, part: Part, entries: Vec<SliceEntry>, next: Option<String>, first: &[Part]) {
        let is_cut = entries.len() > COMPANY_PAGE;
        let kept: Vec<SliceEntry> = entries.into_iter().take(COMPANY_PAGE).collect();
        let last = if is_cut { kept.last().map(SliceEntry::sort_key) } else { next };
        if let Some(last) = last {
            let solution = last.rsplit_once('/').map_or(String::new(), |(tenant, _)| format!("{tenant}/"));
            if part.prefix == solution || self.parts.len() >= PARTS_MAX {
                self.parts.push_back(part.behind(&part.prefix, last));
            } else {
                self.parts.push_back(part.behind(&solution, last));
                self.parts.push_back(part.behind(&part.prefix, format!("{solution}{AFTER_ALL}")));
            }
        }
        let is_passed_over =
            |entry: &SliceEntry| part.is_rest && first.iter().any(|left| left.has(&entry.sort_key()));
        self.entries = kept.into_iter().filter(|entry| !is_passed_over(entry)).collect();
        self.page = Some(part);
    }
}

async fn read(
    tenancy: &Tenancy,
    part: &Part,
    limit: usize,
) -> Result<crate::tenancy::Page<SliceEntry>, TenancyError> {
    let after = Some(part.after.clone()).filter(|after| !after.is_empty());
    tenancy.slice_page(&part.prefix, &PageRequest { after, limit }).await
}
