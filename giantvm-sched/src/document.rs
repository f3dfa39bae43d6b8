//! The TOML document: keys with their places, read by type.

use std::ops::Range;
use std::str::FromStr;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::{ClusterError, Position, Problem, Size};

/// The text and the name it goes by in errors.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Source<'a> {
    pub(crate) file: &'a str,
    pub(crate) text: &'a str,
}

impl Source<'_> {
    pub(crate) fn error(self, at: usize, key: String, problem: Problem) -> ClusterError {
        // The end of the text counts as its last place; `get` refuses an offset within a character.
        let before = self.text.get(..at).unwrap_or(self.text);
        let line = before.rsplit('\n').next().unwrap_or_default();
        ClusterError {
            position: Some(Position {
                file: self.file.to_owned(),
                line: before.matches('\n').count() + 1,
                column: line.chars().count() + 1,
            }),
            key,
            problem,
        }
    }
}

/// A value that was read, and where it is written.
#[derive(Debug, Clone)]
pub(crate) struct Field<'a, T> {
    pub(crate) value: T,
    source: Source<'a>,
    key: String,
    at: usize,
}

impl<'a, T> Field<'a, T> {
    pub(crate) fn fail(&self, problem: Problem) -> ClusterError {
        self.source.error(self.at, self.key.clone(), problem)
    }

    pub(crate) fn check<U>(
        self,
        check: impl FnOnce(&T) -> Result<U, Problem>,
    ) -> Result<Field<'a, U>, ClusterError> {
        let value = check(&self.value).map_err(|problem| self.fail(problem))?;
        let Self {
            source, key, at, ..
        } = self;
        Ok(Field {
            value,
            source,
            key,
            at,
        })
    }
}

/// A table of the document and the name it goes by in errors.
#[derive(Debug, Clone)]
pub(crate) struct Section<'a> {
    source: Source<'a>,
    name: String,
    table: &'a DeTable<'a>,
    at: usize,
}

impl<'a> Section<'a> {
    pub(crate) fn root(source: Source<'a>, table: &'a Spanned<DeTable<'a>>) -> Self {
        Self {
            source,
            name: String::new(),
            table: table.get_ref(),
            at: 0,
        }
    }

    /// The section under the name it has to readers, such as ``node `b` ``.
    pub(crate) fn renamed(self, name: String) -> Self {
        Self { name, ..self }
    }

    pub(crate) fn key(&self, key: &str) -> String {
        match self.name.as_str() {
            "" => key.to_owned(),
            name => format!("{name}.{key}"),
        }
    }

    pub(crate) fn fail(&self, key: &str, problem: Problem) -> ClusterError {
        self.source.error(self.at, self.key(key), problem)
    }

    /// Refuses any key but the known ones.
    pub(crate) fn only(&self, known: &'static [&'static str]) -> Result<(), ClusterError> {
        let unknown = |key: &&Spanned<_>| !known.contains(&AsRef::<str>::as_ref(key.get_ref()));
        // The table is sorted by key; the reader wants the first in the file.
        let first = self
            .table
            .keys()
            .filter(unknown)
            .min_by_key(|key| key.span().start);
        first.map_or(Ok(()), |key| {
            let name = self.key(key.get_ref());
            let at = key.span().start;
            Err(self.source.error(at, name, Problem::UnknownKey(known)))
        })
    }

    fn get<T>(
        &self,
        key: &str,
        expected: &'static str,
        read: impl FnOnce(&'a DeValue<'a>, Range<usize>) -> Option<T>,
    ) -> Result<Option<Field<'a, T>>, ClusterError> {
        let Some(value) = self.table.get(key) else {
            return Ok(None);
        };
        let (source, at) = (self.source, value.span().start);
        let key = self.key(key);
        match read(value.get_ref(), value.span()) {
            Some(value) => Ok(Some(Field {
                value,
                source,
                key,
                at,
            })),
            None => {
                let got = value.get_ref().type_str();
                Err(source.error(at, key, Problem::WrongType { expected, got }))
            }
        }
    }

    pub(crate) fn text(&self, key: &str) -> Result<Option<Field<'a, &'a str>>, ClusterError> {
        self.get(key, "text in quotes", |value, _| value.as_str())
    }

    pub(crate) fn required_text(
        &self,
        key: &str,
        example: &'static str,
    ) -> Result<Field<'a, &'a str>, ClusterError> {
        self.text(key)?
            .ok_or_else(|| self.fail(key, Problem::Missing(example)))
    }

    pub(crate) fn count(&self, key: &str) -> Result<Option<Field<'a, u64>>, ClusterError> {
        self.get(key, "a whole number that is not negative", |value, _| {
            let integer = value.as_integer()?;
            u64::from_str_radix(integer.as_str(), integer.radix()).ok()
        })
    }

    pub(crate) fn flag(&self, key: &str) -> Result<Option<Field<'a, bool>>, ClusterError> {
        self.get(key, "true or false", |value, _| value.as_bool())
    }

    pub(crate) fn size(&self, key: &str) -> Result<Option<Field<'a, u64>>, ClusterError> {
        let field = self.get(key, "a size in quotes, as in \"256M\"", |value, _| {
            value.as_str()
        })?;
        let size = |text: &&str| {
            Size::from_str(text)
                .map(Size::bytes)
                .map_err(|error| Problem::Size {
                    text: excerpt(text),
                    error,
                })
        };
        field.map(|field| field.check(size)).transpose()
    }

    pub(crate) fn section(&self, key: &str) -> Result<Option<Self>, ClusterError> {
        let expected = "a section, as in [cluster]";
        let field = self.get(key, expected, |value, span| {
            Some((value.as_table()?, span.start))
        })?;
        Ok(field.map(|field| self.child(key.to_owned(), field.value)))
    }

    pub(crate) fn sections(&self, key: &str) -> Result<Vec<Self>, ClusterError> {
        let expected = "sections in double brackets, as in [[node]]";
        let field = self.get(key, expected, |value, _| {
            let tables = value.as_array()?.iter();
            let tables =
                tables.map(|value| Some((value.get_ref().as_table()?, value.span().start)));
            tables.collect::<Option<Vec<_>>>()
        })?;
        let tables = field.map_or_else(Vec::new, |field| field.value);
        let tables = tables.into_iter().enumerate();
        Ok(tables
            .map(|(position, table)| self.child(format!("{key} {}", position + 1), table))
            .collect())
    }

    fn child(&self, name: String, (table, at): (&'a DeTable<'a>, usize)) -> Self {
        Self {
            source: self.source,
            name,
            table,
            at,
        }
    }
}

/// The start of a text that goes into an error.
pub(crate) fn excerpt(text: &str) -> String {
    const LIMIT: usize = 64;
    text.chars().take(LIMIT).collect()
}
