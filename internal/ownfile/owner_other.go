//go:build !unix

package ownfile

import "os"

const nonblock = 0

// Elsewhere the mode bits say nothing about who may write; the access control
// list of the user's own folder does, and it is not looked at here.
func WritableByOthers(os.FileInfo) string { return "" }

func readableByOthers(os.FileInfo) string { return "" }
