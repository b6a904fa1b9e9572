//! Names of things: connections, backend nodes, shards, and the slab that hands out the first.

use std::fmt;

/// A connection of a machine: a place in a [`Slab`] and the generation of its tenant.
///
/// A stale identifier, of a connection that has ended, never reaches the next tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnId {
    index: u32,
    generation: u32,
}

impl ConnId {
    /// Returns the place, which is below the greatest number of connections ever open at once.
    #[must_use]
    pub const fn index(self) -> usize {
        self.index as usize
    }

    /// Returns the generation, which tells the tenants of one place apart.
    #[must_use]
    pub const fn generation(self) -> u32 {
        self.generation
    }

    /// Returns the name as one word, for a system call that hands it back.
    #[must_use]
    pub const fn to_bits(self) -> u64 {
        (self.index as u64) << 32 | self.generation as u64
    }

    /// Makes a name of a word that `to_bits` gave. Any other word names nobody.
    #[must_use]
    pub const fn from_bits(bits: u64) -> Self {
        Self { index: (bits >> 32) as u32, generation: bits as u32 }
    }
}

impl fmt::Display for ConnId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.index, self.generation)
    }
}

/// A backend node, numbered as in the configuration (`backend_hostname0` is node 0).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BackendId(pub u8);

impl BackendId {
    /// Returns the node's number.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

impl fmt::Display for BackendId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A shard, numbered from zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShardId(pub u16);

impl ShardId {
    /// Returns the shard's number.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

impl fmt::Display for ShardId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The number of an agreed view of the cluster; a later view has a greater one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(pub u64);

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Places for connections, reused, with a generation each.
#[derive(Debug)]
pub struct Slab<T> {
    places: Vec<Place<T>>,
    free: Vec<u32>,
    count: usize,
}

#[derive(Debug)]
struct Place<T> {
    generation: u32,
    tenant: Option<T>,
}

impl<T> Slab<T> {
    /// Makes an empty slab.
    #[must_use]
    pub const fn new() -> Self {
        Self { places: Vec::new(), free: Vec::new(), count: 0 }
    }

    /// Puts a tenant into a free place and names it.
    pub fn insert(&mut self, tenant: T) -> ConnId {
        self.count += 1;
        if let Some(index) = self.free.pop()
            && let Some(place) = self.places.get_mut(index as usize)
        {
            place.tenant = Some(tenant);
            return ConnId { index, generation: place.generation };
        }
        let index = u32::try_from(self.places.len()).expect("connections are fewer than 2^32");
        self.places.push(Place { generation: 0, tenant: Some(tenant) });
        ConnId { index, generation: 0 }
    }

    /// Takes a tenant out; its name is stale from now on.
    pub fn remove(&mut self, id: ConnId) -> Option<T> {
        let place = self.places.get_mut(id.index()).filter(|p| p.generation == id.generation)?;
        let tenant = place.tenant.take()?;
        place.generation = place.generation.wrapping_add(1);
        self.free.push(id.index);
        self.count -= 1;
        Some(tenant)
    }

    /// Finds a tenant by name.
    #[must_use]
    pub fn get(&self, id: ConnId) -> Option<&T> {
        let place = self.places.get(id.index()).filter(|p| p.generation == id.generation)?;
        place.tenant.as_ref()
    }

    /// Finds a tenant by name, to change it.
    pub fn get_mut(&mut self, id: ConnId) -> Option<&mut T> {
        let place = self.places.get_mut(id.index()).filter(|p| p.generation == id.generation)?;
        place.tenant.as_mut()
    }

    /// Lists the tenants, by place.
    pub fn iter(&self) -> impl Iterator<Item = (ConnId, &T)> {
        self.places.iter().enumerate().filter_map(|(index, place)| {
            let index = u32::try_from(index).ok()?;
            let tenant = place.tenant.as_ref()?;
            Some((ConnId { index, generation: place.generation }, tenant))
        })
    }

    /// Counts the tenants.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.count
    }

    /// Tells whether there is no tenant.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self::new()
    }
}

/// What belongs to connections that a [`Slab`] has named: the same places, the same generations.
///
/// A machine keeps one table per kind of connection, a driver one for its sockets.
#[derive(Debug)]
pub struct Table<T> {
    places: Vec<Option<(u32, T)>>,
    count: usize,
}

impl<T> Table<T> {
    /// Makes an empty table.
    #[must_use]
    pub const fn new() -> Self {
        Self { places: Vec::new(), count: 0 }
    }

    /// Puts something under a name, in place of whatever an earlier tenant of the place had.
    pub fn insert(&mut self, id: ConnId, thing: T) {
        while self.places.len() <= id.index() {
            self.places.push(None);
        }
        if let Some(place) = self.places.get_mut(id.index()) {
            self.count += usize::from(place.is_none());
            *place = Some((id.generation, thing));
        }
    }

    /// Takes out what is under a name.
    pub fn remove(&mut self, id: ConnId) -> Option<T> {
        let place = self.places.get_mut(id.index())?;
        let (_, thing) = place.take_if(|(generation, _)| *generation == id.generation)?;
        self.count -= 1;
        Some(thing)
    }

    /// Finds what is under a name.
    #[must_use]
    pub fn get(&self, id: ConnId) -> Option<&T> {
        match self.places.get(id.index())? {
            Some((generation, thing)) if *generation == id.generation => Some(thing),
            Some(_) | None => None,
        }
    }

    /// Finds what is under a name, to change it.
    pub fn get_mut(&mut self, id: ConnId) -> Option<&mut T> {
        match self.places.get_mut(id.index())? {
            Some((generation, thing)) if *generation == id.generation => Some(thing),
            Some(_) | None => None,
        }
    }

    /// Lists everything, by place.
    pub fn iter(&self) -> impl Iterator<Item = (ConnId, &T)> {
        self.places.iter().zip(0u32..).filter_map(|(place, index)| {
            let (generation, thing) = place.as_ref()?;
            Some((ConnId { index, generation: *generation }, thing))
        })
    }

    /// Lists the names in use, by place.
    #[must_use]
    pub fn names(&self) -> Vec<ConnId> {
        self.iter().map(|(id, _)| id).collect()
    }

    /// Counts everything.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.count
    }

    /// Tells whether there is nothing.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stale_name_finds_nobody() {
        let mut slab = Slab::new();
        let first = slab.insert("first");
        assert_eq!(slab.remove(first), Some("first"));
        let second = slab.insert("second");
        assert_eq!(second.index(), first.index());
        assert_eq!(slab.get(first), None);
        assert_eq!(slab.remove(first), None);
        assert_eq!(slab.get(second), Some(&"second"));
        assert_eq!(slab.len(), 1);
    }

    #[test]
    fn a_table_keeps_generations_apart() {
        let mut slab = Slab::new();
        let mut table = Table::new();
        let first = slab.insert(());
        table.insert(first, "first");
        slab.remove(first);
        let second = slab.insert(());
        assert_eq!(table.get(second), None);
        assert_eq!(table.remove(second), None);
        table.insert(second, "second");
        assert_eq!(table.get(first), None);
        assert_eq!(table.names(), [second]);
        assert_eq!(table.remove(second), Some("second"));
        assert!(table.is_empty());
    }
}
