//! An index out of XML: versions 1.0 to 2.x, elements of no use here passed over, everything bounded.

use std::collections::BTreeSet;
use std::io::BufRead;

use super::{Directory, Extent, File, Index, Node, partition_of};
use crate::ltfs::limits::{DEPTH_MAX, EXTENTS_MAX, NODES_MAX};
use crate::ltfs::xml::{Element, Events};
use crate::ltfs::{BlockAddress, Timestamp, VolumeUuid, name};

/// Reads an index, or says what is wrong with it. The caller bounds the input's length.
pub fn parse<R: BufRead>(input: R) -> Result<Index, String> {
    let mut parser = Parser { events: Events::new(input), file_ids: BTreeSet::new() };
    parser.index()
}

struct Parser<R> {
    events: Events<R>,
    file_ids: BTreeSet<u64>,
}

/// What a file or directory element holds, before it is known to be complete.
#[derive(Default)]
struct Draft {
    name: Option<String>,
    bytes: Option<u64>,
    file_id: Option<u64>,
    read_only: bool,
    created: Option<Timestamp>,
    modified: Option<Timestamp>,
    attributes: Vec<(String, String)>,
    extents: Vec<Extent>,
    directories: Vec<Directory>,
    files: Vec<File>,
    is_link: bool,
}

impl<R: BufRead> Parser<R> {
    fn index(&mut self) -> Result<Index, String> {
        self.events.root("ltfsindex")?;
        let (mut creator, mut uuid, mut generation, mut update_time) = (String::new(), None, None, None);
        let (mut location, mut previous, mut highest, mut root) = (None, None, None, None);
        while let Some(element) = self.events.child()? {
            match element.name() {
                "creator" => creator = self.events.text(&element)?,
                "volumeuuid" => uuid = VolumeUuid::parse(&self.events.text(&element)?),
                "generationnumber" => generation = Some(self.events.number(&element)?),
                "updatetime" => update_time = Timestamp::parse(&self.events.text(&element)?),
                "location" => location = Some(self.location()?),
                "previousgenerationlocation" => previous = Some(self.location()?),
                "highestfileuid" => highest = Some(self.events.number(&element)?),
                "directory" if root.is_none() => root = Some(self.directory(0)?),
                "directory" => return Err("two root directories".to_owned()),
                _ => self.events.skip(&element)?,
            }
        }
        self.events.end()?;
        let largest = self.file_ids.last().copied().unwrap_or(0);
        Ok(Index {
            creator,
            uuid: uuid.ok_or("no valid volumeuuid")?,
            generation: generation.ok_or("no generationnumber")?,
            update_time: update_time.ok_or("no valid updatetime")?,
            location: location.ok_or("no location")?,
            previous,
            highest_file_id: highest.unwrap_or(largest).max(largest),
            root: root.ok_or("no root directory")?,
        })
    }

    fn location(&mut self) -> Result<BlockAddress, String> {
        let (mut partition, mut block) = (None, None);
        while let Some(element) = self.events.child()? {
            match element.name() {
                "partition" => partition = Some(partition_of(&self.events.text(&element)?)?),
                "startblock" => block = Some(self.events.number(&element)?),
                _ => self.events.skip(&element)?,
            }
        }
        Ok(BlockAddress {
            partition: partition.ok_or("a location without partition")?,
            block: block.ok_or("a location without startblock")?,
        })
    }

    fn directory(&mut self, depth: usize) -> Result<Directory, String> {
        if depth > DEPTH_MAX {
            return Err(format!("directories nested deeper than {DEPTH_MAX}"));
        }
        let mut draft = Draft::default();
        while let Some(element) = self.events.child()? {
            match element.name() {
                "contents" => self.contents(&mut draft, depth)?,
                _ => self.common(&mut draft, &element)?,
            }
        }
        let name = draft.name.take().unwrap_or_default();
        if depth > 0 && !name::is_valid(&name) {
            return Err(format!("a directory cannot be called {name:?}"));
        }
        let node = self.node(&mut draft)?;
        Ok(Directory { name, node, directories: draft.directories, files: draft.files })
    }

    fn contents(&mut self, draft: &mut Draft, depth: usize) -> Result<(), String> {
        while let Some(element) = self.events.child()? {
            match element.name() {
                "directory" => draft.directories.push(self.directory(depth + 1)?),
                "file" => {
                    if let Some(file) = self.file()? {
                        draft.files.push(file);
                    }
                }
                _ => self.events.skip(&element)?,
            }
        }
        Ok(())
    }

    /// A file, or `None` for a symbolic link.
    fn file(&mut self) -> Result<Option<File>, String> {
        let mut draft = Draft::default();
        while let Some(element) = self.events.child()? {
            match element.name() {
                "length" => draft.bytes = Some(self.events.number(&element)?),
                "extentinfo" => draft.extents = self.extents()?,
                "symlink" => {
                    draft.is_link = true;
                    self.events.skip(&element)?;
                }
                _ => self.common(&mut draft, &element)?,
            }
        }
        let node = self.node(&mut draft)?;
        if draft.is_link {
            return Ok(None);
        }
        let name = draft.name.take().unwrap_or_default();
        if !name::is_valid(&name) {
            return Err(format!("a file cannot be called {name:?}"));
        }
        draft.extents.sort_by_key(|extent| extent.file_offset);
        let bytes = draft.bytes.ok_or("a file without length")?;
        Ok(Some(File { name, bytes, node, extents: draft.extents }))
    }

    /// The elements that files and directories share.
    fn common(&mut self, draft: &mut Draft, element: &Element) -> Result<(), String> {
        match element.name() {
            "name" => draft.name = Some(self.events.text(element)?),
            "readonly" => draft.read_only = self.events.text(element)?.trim() == "true",
            "creationtime" => draft.created = Timestamp::parse(self.events.text(element)?.trim()),
            "modifytime" => draft.modified = Timestamp::parse(self.events.text(element)?.trim()),
            "fileuid" => draft.file_id = Some(self.events.number(element)?),
            "extendedattributes" => draft.attributes = self.attributes()?,
            _ => self.events.skip(element)?,
        }
        Ok(())
    }

    fn attributes(&mut self) -> Result<Vec<(String, String)>, String> {
        let mut attributes = Vec::new();
        while let Some(element) = self.events.child()? {
            if element.name() != "xattr" {
                self.events.skip(&element)?;
                continue;
            }
            let (mut key, mut value) = (None, None);
            while let Some(part) = self.events.child()? {
                match part.name() {
                    "key" => key = Some(self.events.text(&part)?),
                    "value" => value = self.events.value(&part)?,
                    _ => self.events.skip(&part)?,
                }
            }
            if let (Some(key), Some(value)) = (key, value) {
                attributes.push((key, value));
            }
        }
        Ok(attributes)
    }

    fn extents(&mut self) -> Result<Vec<Extent>, String> {
        let mut extents = Vec::new();
        while let Some(element) = self.events.child()? {
            if element.name() != "extent" {
                self.events.skip(&element)?;
                continue;
            }
            if extents.len() == EXTENTS_MAX {
                return Err(format!("a file of more than {EXTENTS_MAX} extents"));
            }
            extents.push(self.extent()?);
        }
        Ok(extents)
    }

    fn extent(&mut self) -> Result<Extent, String> {
        let (mut file_offset, mut partition, mut block, mut byte_offset, mut bytes) =
            (None, None, None, None, None);
        while let Some(element) = self.events.child()? {
            match element.name() {
                "fileoffset" => file_offset = Some(self.events.number(&element)?),
                "partition" => partition = Some(partition_of(&self.events.text(&element)?)?),
                "startblock" => block = Some(self.events.number(&element)?),
                "byteoffset" => byte_offset = u32::try_from(self.events.number(&element)?).ok(),
                "bytecount" => bytes = Some(self.events.number(&element)?),
                _ => self.events.skip(&element)?,
            }
        }
        match (partition, block, byte_offset, bytes) {
            (Some(partition), Some(block), Some(byte_offset), Some(bytes)) => Ok(Extent {
                file_offset: file_offset.unwrap_or(0), // absent before version 2.0, where a file has no holes
                start: BlockAddress { partition, block },
                byte_offset,
                bytes,
            }),
            _ => Err("an extent without partition, startblock, byteoffset or bytecount".to_owned()),
        }
    }

    fn node(&mut self, draft: &mut Draft) -> Result<Node, String> {
        let file_id = draft.file_id.ok_or("a file or directory without fileuid")?;
        if !self.file_ids.insert(file_id) {
            return Err(format!("fileuid {file_id} twice"));
        }
        if self.file_ids.len() > NODES_MAX {
            return Err(format!("more than {NODES_MAX} files and directories"));
        }
        Ok(Node {
            file_id,
            read_only: draft.read_only,
            created: draft.created.ok_or("a file or directory without valid creationtime")?,
            modified: draft.modified.ok_or("a file or directory without valid modifytime")?,
            attributes: std::mem::take(&mut draft.attributes),
        })
    }
}
