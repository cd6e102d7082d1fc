package placement

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// ParseConstraint reads the text form that Constraint.String describes. "and"
// binds tighter than "or", "not" tighter than both. Errors are InvalidErrors.
// It reads at most MaxEncodedBytes, and takes time in proportion to the text.
func ParseConstraint(text string) (Constraint, error) {
	if len(text) > MaxEncodedBytes {
		return Constraint{}, invalid("constraint", text, tooLong(MaxEncodedBytes))
	}
	p := constraintParser{rest: text}
	p.next()
	c := p.or(1)
	if p.reason == "" && p.token != "" {
		p.fail("unexpected " + p.token)
	}
	if p.reason != "" {
		return Constraint{}, invalid("constraint", text, p.reason)
	}
	if err := c.Validate(); err != nil {
		return Constraint{}, Within("constraint", err)
	}
	return c, nil
}

// constraintParser is a recursive-descent parser over one token of
// look-ahead. After a mistake it yields no more tokens, so that every loop
// ends, and keeps the first reason.
type constraintParser struct {
	rest   string
	token  string // as written; "" at the end
	word   string // a key or value with its quotes removed
	quoted bool
	rules  int // read so far
	reason string
}

func (p *constraintParser) fail(reason string) {
	if p.reason == "" {
		p.reason = reason
	}
	p.rest, p.token = "", ""
}

func (p *constraintParser) next() {
	p.rest = strings.TrimLeft(p.rest, " \t\r\n")
	p.word, p.quoted = "", false
	n := 0
	switch {
	case p.rest == "":
	case p.rest[0] == '"' || p.rest[0] == '`':
		quoted, err := strconv.QuotedPrefix(p.rest)
		if err != nil {
			p.fail("unterminated quote")
			return
		}
		p.word, _ = strconv.Unquote(quoted)
		p.quoted = true
		n = len(quoted)
	case strings.HasPrefix(p.rest, "!="):
		n = 2
	case strings.IndexByte("=<>(),", p.rest[0]) >= 0:
		n = 1
	default:
		for n < len(p.rest) && isBareByte(p.rest[n]) {
			n++
		}
		if n == 0 {
			first, _ := utf8.DecodeRuneInString(p.rest)
			p.fail("unexpected character " + strconv.QuoteRune(first))
			return
		}
		p.word = p.rest[:n]
	}
	p.token, p.rest = p.rest[:n], p.rest[n:]
}

// accept consumes the next token if it is this keyword or symbol.
func (p *constraintParser) accept(keyword string) bool {
	if p.quoted || p.token != keyword {
		return false
	}
	p.next()
	return true
}

func (p *constraintParser) expect(symbol string) {
	if !p.accept(symbol) {
		p.fail("want " + symbol)
	}
}

func (p *constraintParser) or(depth int) Constraint {
	return p.list("or", Or, func() Constraint { return p.list("and", And, func() Constraint { return p.unary(depth) }) })
}

// list parses operand (keyword operand)*, and "keyword operand" for a list of
// one, which And and Or allow.
func (p *constraintParser) list(keyword string, build func(...Constraint) Constraint, operand func() Constraint) Constraint {
	if p.accept(keyword) {
		return build(operand())
	}
	first := operand()
	if p.quoted || p.token != keyword {
		return first
	}
	all := []Constraint{first}
	for p.accept(keyword) {
		all = append(all, operand())
	}
	return build(all...)
}

func (p *constraintParser) unary(depth int) Constraint {
	// Each level of the result costs at most two here; Validate is exact.
	if depth > 2*MaxConstraintDepth {
		p.fail("nested too deeply")
		return Constraint{}
	}
	switch {
	case p.accept("not"):
		return Not(p.unary(depth + 1))
	case p.accept("("):
		c := p.or(depth + 1)
		p.expect(")")
		return c
	}
	return p.rule()
}

func (p *constraintParser) rule() Constraint {
	if p.rules++; p.rules > MaxRules {
		p.fail(tooMany(MaxRules, "conditions"))
		return Constraint{}
	}
	key := p.literal("key")
	switch {
	case p.accept("="):
		return Equal(key, p.literal("value"))
	case p.accept("!="):
		return NotEqual(key, p.literal("value"))
	case p.accept("in"):
		return In(key, p.values()...)
	case p.accept("notin"):
		return NotIn(key, p.values()...)
	case p.accept("exists"):
		return Exists(key)
	case p.accept("notexists"):
		return NotExists(key)
	case p.accept(">"):
		return Greater(key, p.integer())
	case p.accept("<"):
		return Less(key, p.integer())
	case p.accept("version"):
		return Version(key, p.literal("version range"))
	case p.accept("semver"):
		return SemVer(key, p.literal("version range"))
	case p.accept("matches"):
		return Matches(key, p.literal("pattern"))
	}
	p.fail("want an operator after " + strconv.Quote(key))
	return Constraint{}
}

func (p *constraintParser) literal(what string) string {
	if !p.quoted && !isBareWord(p.word) {
		p.fail("want a " + what)
		return ""
	}
	word := p.word
	p.next()
	return word
}

func (p *constraintParser) integer() int64 {
	text := p.literal("number")
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		p.fail("want an integer instead of " + strconv.Quote(text))
	}
	return n
}

func (p *constraintParser) values() []string {
	p.expect("(")
	values := []string{p.literal("value")}
	for p.accept(",") {
		values = append(values, p.literal("value"))
	}
	p.expect(")")
	return values
}
