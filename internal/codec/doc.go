// Package codec writes and reads records in a compact binary form. A type is
// described once, by a function that names its fields with their numbers, and
// that description serves both directions:
//
//	func point(c *codec.Coder, p *Point) {
//		codec.Text(c, 1, &p.Name)
//		codec.Int(c, 2, &p.X)
//		codec.List(c, 3, &p.Next, point)
//	}
//
//	data := codec.Write(new(codec.Coder), nil, &p, point)
//	err := codec.Read(new(codec.Coder), data, &p, point)
//
// # Form
//
// A message is its fields in ascending order of their numbers. A field is a
// tag, number·8 + form, and then
//
//	form 0  a varint: a number, zigzag if its type is signed, or 1 for true
//	form 2  a varint with the length of what follows: a text, bytes, a message,
//	        the varints of a list of numbers
//
// which is a part of the wire form of protocol buffers, so that their tools
// show it. A list of texts or messages repeats its field. A map is a list of
// messages {1: key, 2: value} by ascending key. A time is a message {1:
// seconds since 1970, signed; 2: nanoseconds}.
//
// # One encoding for each value
//
// What is zero or empty is left out, fields and keys ascend, and varints are as
// short as they can be. Read refuses everything else: what it accepts is written
// again with the same bytes. It refuses fields that it does not know as well,
// since to leave out a part of a record is to do something else than what was
// recorded.
//
// # Limits
//
// Read never panics, and takes time and memory in proportion to the data: a list
// is as long as there are elements for it.
package codec
