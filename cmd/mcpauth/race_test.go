//go:build race

package main

// slow is whether every process takes some ten times as long as it does for people.
const slow = true
