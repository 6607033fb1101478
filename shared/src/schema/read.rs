//! Reads the list of shapes. Its grammar stands at the head of `shapes.txt`.

/// What a value looks like.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Shape {
    Any,
    Null,
    Text,
    Time,
    Span,
    Int,
    Number,
    Bool,
    Word(String),
    Named(String),
    List(Box<Shape>),
    Map(Box<Shape>),
    Object(Vec<Field>),
    OneOf(Vec<Shape>),
}

/// A field's name, whether it is always there, and its shape.
pub(super) type Field = (String, bool, Shape);

impl Shape {
    pub(super) fn word(&self) -> Option<&String> {
        match self {
            Self::Word(word) => Some(word),
            _ => None,
        }
    }
}

/// An op, with its arguments.
#[derive(Clone, Debug)]
pub(super) struct Op {
    pub(super) name: String,
    pub(super) role: String,
    pub(super) arguments: Vec<Field>,
    pub(super) data: Shape,
}

/// The whole list.
#[derive(Clone, Debug, Default)]
pub(super) struct Shapes {
    pub(super) named: Vec<(String, Shape)>,
    pub(super) ops: Vec<Op>,
}

/// Reads the list; `...` among the fields of an object stands for those of `acting`.
pub(super) fn shapes(text: &str, acting: &str) -> Result<Shapes, String> {
    let mut acting = Reader::new(acting, Vec::new());
    let Shape::Object(acting) = acting.shape()? else {
        return Err("what acting ops take is no object".into());
    };
    let lines = text.lines().filter(|line| !line.trim_start().starts_with('#'));
    let text = lines.collect::<Vec<_>>().join("\n");
    let mut reader = Reader::new(&text, acting);
    let mut shapes = Shapes::default();
    while !reader.rest.is_empty() {
        let name = reader.name()?;
        if name == "op" {
            let (name, role) = (reader.name()?, reader.name()?);
            let Shape::Object(arguments) = reader.one()? else {
                return Err(format!("the arguments of {name} are no object"));
            };
            reader.take("->")?;
            let data = reader.shape()?;
            shapes.ops.push(Op {
                name,
                role,
                arguments,
                data,
            });
        } else {
            reader.take("=")?;
            shapes.named.push((name, reader.shape()?));
        }
    }
    Ok(shapes)
}

struct Reader<'a> {
    rest: &'a str,
    acting: Vec<Field>,
}

impl<'a> Reader<'a> {
    fn new(text: &'a str, acting: Vec<Field>) -> Self {
        Self {
            rest: text.trim_start(),
            acting,
        }
    }

    fn skip(&mut self, bytes: usize) {
        self.rest = self.rest[bytes..].trim_start();
    }

    /// Takes this sign, if it comes next.
    fn eat(&mut self, sign: &str) -> bool {
        let found = self.rest.starts_with(sign);
        if found {
            self.skip(sign.len());
        }
        found
    }

    fn take(&mut self, sign: &str) -> Result<(), String> {
        if self.eat(sign) {
            Ok(())
        } else {
            let near: String = self.rest.chars().take(40).collect();
            Err(format!("'{sign}' is missing before: {near}"))
        }
    }

    fn name(&mut self) -> Result<String, String> {
        let end = self
            .rest
            .find(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '-')
            .unwrap_or(self.rest.len());
        let name = self.rest[..end].to_owned();
        if name.is_empty() {
            let near: String = self.rest.chars().take(40).collect();
            return Err(format!("a name is missing before: {near}"));
        }
        self.skip(end);
        Ok(name)
    }

    /// A shape with all its alternatives.
    fn shape(&mut self) -> Result<Shape, String> {
        let mut shapes = vec![self.one()?];
        while self.eat("|") {
            shapes.push(self.one()?);
        }
        Ok(match <[Shape; 1]>::try_from(shapes) {
            Ok([one]) => one,
            Err(many) => Shape::OneOf(many),
        })
    }

    fn one(&mut self) -> Result<Shape, String> {
        let shape = if self.eat("[") {
            let of = self.shape()?;
            self.take("]")?;
            Shape::List(of.into())
        } else if self.eat("{") {
            self.object()?
        } else if self.eat("\"") {
            let word = self.name()?;
            self.take("\"")?;
            Shape::Word(word)
        } else {
            match self.name()?.as_str() {
                "any" => Shape::Any,
                "null" => Shape::Null,
                "text" => Shape::Text,
                "time" => Shape::Time,
                "span" => Shape::Span,
                "int" => Shape::Int,
                "number" => Shape::Number,
                "bool" => Shape::Bool,
                name => Shape::Named(name.to_owned()),
            }
        };
        Ok(if self.eat("?") {
            Shape::OneOf(vec![shape, Shape::Null])
        } else {
            shape
        })
    }

    fn object(&mut self) -> Result<Shape, String> {
        if self.eat("*:") {
            let of = self.shape()?;
            self.take("}")?;
            return Ok(Shape::Map(of.into()));
        }
        let mut fields = Vec::new();
        while !self.eat("}") {
            if self.eat("...") {
                fields.extend(self.acting.iter().cloned());
            } else {
                let name = self.name()?;
                let always = !self.eat("?");
                self.take(":")?;
                fields.push((name, always, self.shape()?));
            }
            if !self.eat(",") {
                self.take("}")?;
                break;
            }
        }
        Ok(Shape::Object(fields))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_read_or_says_where_it_cannot_be() {
        let read = shapes("# words\na = \"x\"|\"y\"\nb = {one: [a], two?: int?, *}\n", "{}");
        assert!(read.unwrap_err().contains("a name is missing before: *}"));
        let read = shapes(
            "a = \"x\"|\"y\"\nb = {one: [a], two?: int?}\nop go viewer {..., c: {*: b}} -> a | null",
            "{all: bool}",
        )
        .unwrap();
        let word = |word: &str| Shape::Word(word.into());
        assert_eq!(read.named[0].1, Shape::OneOf(vec![word("x"), word("y")]));
        let Shape::Object(fields) = &read.named[1].1 else {
            panic!("{read:?}");
        };
        assert_eq!((fields[0].1, fields[1].1), (true, false));
        let names: Vec<&str> = read.ops[0].arguments.iter().map(|it| it.0.as_str()).collect();
        assert_eq!(names, ["all", "c"]);
    }
}
