// Command empty is the yardstick: what it costs to start a Go program at all.
package main

func main() {}
