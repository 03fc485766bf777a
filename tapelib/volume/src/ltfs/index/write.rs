//! An index as XML (`ltfsindex` version 2.4.0), streamed.

use std::io::{self, Write};

use super::{Directory, Extent, File, Index, Node};
use crate::ltfs::BlockAddress;
use crate::ltfs::xml::Writer;

/// Writes an index.
pub fn write<W: Write>(index: &Index, out: W) -> io::Result<W> {
    let mut xml = Writer::start(out)?;
    xml.open_versioned("ltfsindex", "2.4.0")?;
    xml.text("creator", &index.creator)?;
    xml.text("volumeuuid", &index.uuid.to_string())?;
    xml.number("generationnumber", index.generation)?;
    xml.text("updatetime", &index.update_time.to_string())?;
    location(&mut xml, "location", index.location)?;
    if let Some(previous) = index.previous {
        location(&mut xml, "previousgenerationlocation", previous)?;
    }
    xml.text("allowpolicyupdate", "false")?;
    xml.number("highestfileuid", index.highest_file_id)?;
    xml.text("volumelockstate", "unlocked")?;
    directory(&mut xml, &index.root)?;
    xml.close("ltfsindex")?;
    xml.finish()
}

fn location<W: Write>(xml: &mut Writer<W>, name: &str, at: BlockAddress) -> io::Result<()> {
    xml.open(name)?;
    xml.text("partition", &at.partition.letter().to_string())?;
    xml.number("startblock", at.block)?;
    xml.close(name)
}

fn directory<W: Write>(xml: &mut Writer<W>, directory: &Directory) -> io::Result<()> {
    xml.open("directory")?;
    xml.name("name", &directory.name)?;
    node(xml, &directory.node)?;
    xml.open("contents")?;
    for child in &directory.directories {
        self::directory(xml, child)?;
    }
    for child in &directory.files {
        file(xml, child)?;
    }
    xml.close("contents")?;
    xml.close("directory")
}

fn file<W: Write>(xml: &mut Writer<W>, file: &File) -> io::Result<()> {
    xml.open("file")?;
    xml.name("name", &file.name)?;
    xml.number("length", file.bytes)?;
    node(xml, &file.node)?;
    if !file.extents.is_empty() {
        xml.open("extentinfo")?;
        for extent in &file.extents {
            self::extent(xml, extent)?;
        }
        xml.close("extentinfo")?;
    }
    xml.close("file")
}

fn extent<W: Write>(xml: &mut Writer<W>, extent: &Extent) -> io::Result<()> {
    xml.open("extent")?;
    xml.number("fileoffset", extent.file_offset)?;
    xml.text("partition", &extent.start.partition.letter().to_string())?;
    xml.number("startblock", extent.start.block)?;
    xml.number("byteoffset", u64::from(extent.byte_offset))?;
    xml.number("bytecount", extent.bytes)?;
    xml.close("extent")
}

fn node<W: Write>(xml: &mut Writer<W>, node: &Node) -> io::Result<()> {
    xml.text("readonly", if node.read_only { "true" } else { "false" })?;
    let time = node.modified.to_string();
    xml.text("creationtime", &node.created.to_string())?;
    for element in ["changetime", "modifytime", "accesstime", "backuptime"] {
        xml.text(element, &time)?;
    }
    xml.number("fileuid", node.file_id)?;
    if !node.attributes.is_empty() {
        xml.open("extendedattributes")?;
        for (key, value) in &node.attributes {
            xml.open("xattr")?;
            xml.name("key", key)?;
            xml.text("value", value)?;
            xml.close("xattr")?;
        }
        xml.close("extendedattributes")?;
    }
    Ok(())
}
