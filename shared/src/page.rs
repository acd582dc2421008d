//! Pages of lists (SPEC §2), bounded by their items and by their bytes: Lambda sends 6 MB at most.

/// Most bytes of a page's items as they are sent; about as many are read for it. A page has at least one item.
pub const PAGE_MAX_BYTES: usize = 4_000_000;

/// Which page of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageRequest {
    /// The [`Page::next`] of the page before; `None` for the first page.
    pub after: Option<String>,
    /// Most items wanted, at least 1.
    pub limit: usize,
}

/// A page of a list.
#[derive(Debug, Clone, PartialEq)]
pub struct Page<T> {
    /// The items, in the list's order.
    pub items: Vec<T>,
    /// What [`PageRequest::after`] takes for the next page; `None` on the last one.
    pub next: Option<String>,
    /// What it takes for a page that begins behind the item of the same index.
    positions: Vec<String>,
    bytes: usize,
}

impl<T> Default for Page<T> {
    fn default() -> Self {
        Self { items: Vec::new(), next: None, positions: Vec::new(), bytes: 0 }
    }
}

impl<T> Page<T> {
    /// Adds an item of about `bytes` bytes; `position` is where to go on behind it.
    pub(crate) fn push(&mut self, item: T, position: String, bytes: usize) {
        self.items.push(item);
        self.positions.push(position);
        self.bytes += bytes;
    }

    /// Puts an item before all others of a page that has at most `limit`.
    pub(crate) fn lead(&mut self, item: T, position: String, limit: usize) {
        self.items.insert(0, item);
        self.positions.insert(0, position);
        if self.items.len() > limit {
            self.items.truncate(limit);
            self.positions.truncate(limit);
            self.next = self.last_position();
        }
    }

    /// Leaves out the items that are not `wanted`; the page may be short of them.
    pub(crate) fn retain(&mut self, wanted: impl Fn(&T) -> bool) {
        let pairs = std::mem::take(&mut self.items).into_iter().zip(std::mem::take(&mut self.positions));
        (self.items, self.positions) = pairs.filter(|(item, _)| wanted(item)).unzip();
    }

    /// Ends the list behind `count` items, if the page has more.
    pub(crate) fn end_behind(&mut self, count: usize) {
        if count < self.items.len() {
            self.items.truncate(count);
            self.positions.truncate(count);
            self.next = None;
        }
    }

    /// Whether nothing more needs to be read for it.
    pub(crate) fn is_full(&self) -> bool {
        self.bytes >= PAGE_MAX_BYTES
    }

    /// Where to go on behind the last item so far.
    pub(crate) fn last_position(&self) -> Option<String> {
        self.positions.last().cloned()
    }

    /// The items as `show` makes them, each with its bytes as it is sent, as far as they fit into
    /// [`PAGE_MAX_BYTES`]; and where to go on.
    ///
    /// # Errors
    /// The first of `show`.
    pub fn fit<V, E>(
        self,
        mut show: impl FnMut(T) -> Result<(V, usize), E>,
    ) -> Result<(Vec<V>, Option<String>), E> {
        let (mut shown, mut sent, mut last) = (Vec::with_capacity(self.items.len()), 0, None);
        for (item, position) in self.items.into_iter().zip(self.positions) {
            let (value, bytes) = show(item)?;
            sent += bytes;
            if sent > PAGE_MAX_BYTES && !shown.is_empty() {
                return Ok((shown, last));
            }
            shown.push(value);
            last = Some(position);
        }
        Ok((shown, self.next))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::convert::Infallible;

    #[test]
    fn a_page_ends_where_its_bytes_do_and_has_one_item_at_least() {
        const HALF: usize = PAGE_MAX_BYTES / 2;
        for (sizes, expect, next) in [
            (vec![], 0, Some("end")),
            (vec![1, 1, 1], 3, Some("end")),
            (vec![HALF, HALF], 2, Some("end")),
            (vec![HALF, HALF, 1], 2, Some("1")),
            (vec![HALF + 1, HALF, 1], 1, Some("0")),
            (vec![PAGE_MAX_BYTES + 1], 1, Some("end")),
            (vec![PAGE_MAX_BYTES + 1, 0], 1, Some("0")),
        ] {
            let mut page = Page { next: Some("end".to_owned()), ..Page::default() };
            sizes.iter().enumerate().for_each(|(index, size)| page.push(*size, index.to_string(), *size));
            let (shown, found) = page.fit(|size| Ok::<_, Infallible>(((), size))).unwrap();
            assert_eq!((shown.len(), found.as_deref()), (expect, next), "{sizes:?}");
        }
    }
}
