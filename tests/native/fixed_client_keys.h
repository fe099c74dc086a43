/*
 * fixed_client_keys.h - whom the fixed client trusts and what it shows (recorded).
 *
 * The key is for tests and was made for nothing else.
 */
#ifndef FIXED_CLIENT_KEYS_H
#define FIXED_CLIENT_KEYS_H

static const char fixed_client_roots[] =
    "-----BEGIN CERTIFICATE-----\n"
    "MIIBPzCB56ADAgECAhRKOMMJ8MB1U7uRNmNJeIgt2kChFjAKBggqhkjOPQQDAjAV\n"
    "MRMwEQYDVQQDDApSb290IGVjZHNhMCAXDTI2MTEyMjE4MDg1OFoYDzIwNTQwNDEw\n"
    "MTgwODU4WjAVMRMwEQYDVQQDDApSb290IGVjZHNhMFkwEwYHKoZIzj0CAQYIKoZI\n"
    "zj0DAQcDQgAE3puGMLWQODl14w/yTXQNanCH+F6CJzfBSH+4+8UOBzG3Y2nWl7qH\n"
    "lRPvk3IvOuOakO+pDUnolUy7OF8ZSZIE4aMTMBEwDwYDVR0TAQH/BAUwAwEB/zAK\n"
    "BggqhkjOPQQDAgNHADBEAiA0ohnwWCLjU81fUf/piz6ib4S0L6H7KclIXZqKgfM/\n"
    "yQIgNhBRH/G2ZQU1pzw6nvKkl0lBGU8OiJxh53Owj9GZzXA=\n"
    "-----END CERTIFICATE-----\n"
    "-----BEGIN CERTIFICATE-----\n"
    "MIICyTCCAbGgAwIBAgIUT1iu4TxeYXBPU04ou+DjJO49PKcwDQYJKoZIhvcNAQEL\n"
    "BQAwEzERMA8GA1UEAwwIUm9vdCByc2EwIBcNMjYxMTIyMTgwODU4WhgPMjA1NDA0\n"
    "MTAxODA4NThaMBMxETAPBgNVBAMMCFJvb3QgcnNhMIIBIjANBgkqhkiG9w0BAQEF\n"
    "AAOCAQ8AMIIBCgKCAQEAygcSmG9Jl2KaahAVzvPROKRtrJkjITvltuiQIEu3qKQZ\n"
    "MIs/1ntbM5c0qCvXsvB3EEsMt4x3qDmuzHcervOhi3V2gf23ymtinvk2pJsd8Ahx\n"
    "erAQdKevArZhpuFVYFqGBGjC0QNWvD8GjqSdtUClD0GEQfWsgDtNDRT58CryAZha\n"
    "l2aleCQwAGOrbiEIJGMRUO81LJqhAqGqy1YPHincgYSzCtwNMRkBkRFniSyhdhAL\n"
    "f3rjVOksM6lIhQ8xoZ7Ya8AvNLXwTMB8l3f4rQ5JKsciAuU+lB/WYLgET2nhBgg0\n"
    "MYi29kSFXjOfjkfOl7jmjj+IefX8vSMjwLUlm1MTywIDAQABoxMwETAPBgNVHRMB\n"
    "Af8EBTADAQH/MA0GCSqGSIb3DQEBCwUAA4IBAQBEhW+aLrkgYZurgT96GyBw7SNX\n"
    "NmdtcDNHjTwZt5ndtyCnponHiKTNdgC2WWJsHQ9Ca1AQ4/mYG6wKkvakQ5ute6Oq\n"
    "xrTGOHX48tp+Yqw0H3E3VfH/mtaMGIccL3uJbpSW+lLWW93NusbOkto6DsdWpoKc\n"
    "wOT3DIJf/xk04R0/lXSEd/lUh5ycfUJSmcXRXEbjZu6HJtawL7vHkEYf1St5sEjY\n"
    "M6DJx8aRami12rLWaATdKaN1GneP8Kok/h5P5txU8cvTXmd8IW2jD7qaqWfEoDa8\n"
    "cOjcYuu64dhGK09jdi7ktIrOYKFZt2NLsU80muZQkiysATbIB1FSCQOI2e3X\n"
    "-----END CERTIFICATE-----\n";

static const char fixed_client_identity[] =
    "-----BEGIN CERTIFICATE-----\n"
    "MIIBXjCCAQSgAwIBAgIUctscO/GI6G41Z8d3FEpEIGhrNSEwCgYIKoZIzj0EAwIw\n"
    "FTETMBEGA1UEAwwKUm9vdCBlY2RzYTAgFw0yNjExMjIxODA4NThaGA8yMDU0MDQx\n"
    "MDE4MDg1OFowFjEUMBIGA1UEAwwLY2xpZW50LnRlc3QwWTATBgcqhkjOPQIBBggq\n"
    "hkjOPQMBBwNCAAQ+MOdh3wZH6dcFmRG//YF83zuKqMIoTqgkzp9yGfKcaCxvjpSe\n"
    "TXKMpLLunvdX71xsk5STMEedPjW/YfugRj6Ooy8wLTAWBgNVHREEDzANggtjbGll\n"
    "bnQudGVzdDATBgNVHSUEDDAKBggrBgEFBQcDATAKBggqhkjOPQQDAgNIADBFAiBj\n"
    "KWxmzITnW/RLN6CG0YcRNck8N2GMSYHK5wREKI1tZQIhAOFTWsQQ0IYnz27jy6bN\n"
    "AYtwqDUoz+RAAf4cngJ7tgE4\n"
    "-----END CERTIFICATE-----\n"
    "-----BEGIN PRIVATE KEY-----\n"
    "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgNVcGs6m1m4L8FGFO\n"
    "ED7+CzAGI1Nwn49UHKikWF2oQIihRANCAAQ+MOdh3wZH6dcFmRG//YF83zuKqMIo\n"
    "Tqgkzp9yGfKcaCxvjpSeTXKMpLLunvdX71xsk5STMEedPjW/YfugRj6O\n"
    "-----END PRIVATE KEY-----\n";

#endif
