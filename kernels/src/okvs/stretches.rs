//! Rows by stretches of columns. What one stretch holds is hashed, gathered and solved as one task: it stays in the
//! second cache, and tasks of different stretches touch nothing in common.

/// Columns of a stretch.
pub(super) const STRETCH: usize = 1 << 12;

/// Rows by the stretch of their first columns.
pub(super) struct Stretches {
    /// First column and number of every row, the rows of a stretch together.
    entries: Vec<(u32, u32)>,
    /// Where each stretch's entries begin, and the last one's end.
    edges: Vec<usize>,
}

impl Stretches {
    /// Divides rows by their first columns, all below `columns`.
    pub(super) fn of(starts: &[u32], columns: usize) -> Self {
        let mut edges = vec![0; columns.div_ceil(STRETCH) + 1];
        for &start in starts {
            edges[start as usize / STRETCH + 1] += 1;
        }
        for index in 1..edges.len() {
            edges[index] += edges[index - 1];
        }
        let (mut next, mut entries) = (edges.clone(), vec![(0, 0); starts.len()]);
        for (row, &start) in starts.iter().enumerate() {
            let place = &mut next[start as usize / STRETCH];
            entries[*place] = (start, row as u32);
            *place += 1;
        }
        Self { entries, edges }
    }

    pub(super) fn count(&self) -> usize {
        self.edges.len() - 1
    }

    /// First columns and numbers of a stretch's rows, in the order of the columns.
    pub(super) fn sorted(&self, stretch: usize) -> (Vec<u32>, Vec<u32>) {
        let entries = &self.entries[self.edges[stretch]..self.edges[stretch + 1]];
        let mut next = vec![0usize; STRETCH + 1];
        for &(start, _) in entries {
            next[start as usize % STRETCH + 1] += 1;
        }
        for index in 1..next.len() {
            next[index] += next[index - 1];
        }
        let (mut columns, mut rows) = (vec![0; entries.len()], vec![0; entries.len()]);
        for &(start, row) in entries {
            let place = &mut next[start as usize % STRETCH];
            (columns[*place], rows[*place]) = (start, row);
            *place += 1;
        }
        (columns, rows)
    }
}
