// Package resilience tries mcpauth on bad days: crowds of processes, kills at
// every system call, damaged files, broken networks and full disks. It has tests
// only, in a folder that ./... leaves out since they take their time:
//
//	make crowd          the quick part
//	make crowd FULL=1   all repetitions
//	make faults, make faults FULL=1
//
// A whole run of the faults damages every file of the state folder ten thousand
// times and kills the program at more than five hundred system calls; it takes about
// half an hour.
//
// The processes are the real program, with a home of their own each; the company
// is the strict fakes of package idjagtest, in the process of the test.
package resilience
