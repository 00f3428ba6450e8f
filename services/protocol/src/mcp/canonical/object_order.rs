//! Second pass of the canonical form: members in the order of their keys. Must not know JSON's tokens.
//!
//! Time is proportional to the text, however deep the objects nest, but for the sorting: a member is written once, to its final place.

use std::ops::Range;

/// Canonical tokens in the order of the text, with the places of its objects.
pub(super) struct FlatForm {
    pub(super) text: Vec<u8>,
    /// In the order of their opening braces.
    pub(super) objects: Vec<ObjectSpan>,
    /// Members of all objects, those of one object together.
    pub(super) members: Vec<Member>,
}

/// Place of an object in the text, braces included, and of its members in the list.
pub(super) struct ObjectSpan {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) members: Range<usize>,
}

/// Place of a member in the text, from the quote that opens its key to the end of its value.
#[derive(Clone, Copy)]
pub(super) struct Member {
    pub(super) start: usize,
    /// Position of the quote that closes the key.
    pub(super) key_end: usize,
    pub(super) end: usize,
}

impl Member {
    /// Returns the place of the value.
    pub(super) fn value(&self) -> Range<usize> {
        self.key_end + 2..self.end
    }
}

impl FlatForm {
    /// Returns the text with the members of each object in the order of their keys' bytes. `None`: an object has a key twice.
    pub(super) fn ordered(&self) -> Option<Vec<u8>> {
        let mut out = Vec::with_capacity(self.text.len());
        self.write(0..self.text.len(), &mut out)?;
        Some(out)
    }

    /// Returns the place of the value of a member of the outermost object. `None`: there is none.
    pub(super) fn member(&self, key: &str) -> Option<Range<usize>> {
        let outermost = self.objects.first().filter(|object| object.start == 0)?;
        let members = self.members.get(outermost.members.clone())?;
        members.iter().find(|member| self.key(member) == key.as_bytes()).map(Member::value)
    }

    /// Returns the first object that begins in the range.
    pub(super) fn next_object(&self, range: &Range<usize>) -> Option<&ObjectSpan> {
        let next = self.objects.partition_point(|object| object.start < range.start);
        self.objects.get(next).filter(|object| object.start < range.end)
    }

    /// Returns the members of an object in the order of their keys' bytes. `None`: it has a key twice.
    pub(super) fn sorted_members(&self, object: &ObjectSpan) -> Option<Vec<Member>> {
        let mut members = self.members.get(object.members.clone())?.to_vec();
        members.sort_unstable_by(|one, other| self.key(one).cmp(self.key(other)));
        let has_twice = members.windows(2).any(|pair| self.key(&pair[0]) == self.key(&pair[1]));
        (!has_twice).then_some(members)
    }

    pub(super) fn key(&self, member: &Member) -> &[u8] {
        &self.text[member.start + 1..member.key_end]
    }

    /// Writes the text of a range, with the members of each object in it in the order of their keys' bytes. `None`: an object has a
    /// key twice.
    pub(super) fn write(&self, range: Range<usize>, out: &mut Vec<u8>) -> Option<()> {
        let mut rest = range;
        while let Some(object) = self.next_object(&rest) {
            out.extend_from_slice(&self.text[rest.start..object.start]);
            self.write_object(object, out)?;
            rest.start = object.end;
        }
        out.extend_from_slice(&self.text[rest]);
        Some(())
    }

    fn write_object(&self, object: &ObjectSpan, out: &mut Vec<u8>) -> Option<()> {
        out.push(b'{');
        for (index, member) in self.sorted_members(object)?.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            self.write(member.start..member.end, out)?;
        }
        out.push(b'}');
        Some(())
    }
}
