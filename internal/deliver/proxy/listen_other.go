//go:build !unix

package proxy

// ownFolder: here the mode of a folder says nothing about who may use it.
func ownFolder(string) string { return "sockets are for Unix systems; use a port" }
