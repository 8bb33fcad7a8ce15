// Package arch holds no code. Its test reads the tree and compares it with the
// rules that are easy to break without noticing: who may import whom, what the
// mcpauth binary may link, and what no file may contain.
//
// The rules are tables at the top of arch_test.go. A new package needs a row
// there and a line in the picture of internal/doc.go.
package arch
