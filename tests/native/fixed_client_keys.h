/*
 * fixed_client_keys.h - whom the fixed client trusts and what it shows (recorded).
 *
 * The key is for tests and was made for nothing else.
 */
#ifndef FIXED_CLIENT_KEYS_H
#define FIXED_CLIENT_KEYS_H

static const char fixed_client_roots[] =
    "-----BEGIN CERTIFICATE-----\n"
    "MIIBPzCB56ADAgECAhQHQwa7SbY8nRFOdVV2mvh+Nfua8jAKBggqhkjOPQQDAjAV\n"
    "MRMwEQYDVQQDDApSb290IGVjZHNhMCAXDTI2MTEyMzAyNDczNVoYDzIwNTQwNDEx\n"
    "MDI0NzM1WjAVMRMwEQYDVQQDDApSb290IGVjZHNhMFkwEwYHKoZIzj0CAQYIKoZI\n"
    "zj0DAQcDQgAE0w74vnXSSVMSqbyys+bd9PrjteUvyarNVSfbOlOu4FJ0N4t57kZ/\n"
    "MFhqF7ih3Bc+6s//1oSgF/TUKKTJg70Wj6MTMBEwDwYDVR0TAQH/BAUwAwEB/zAK\n"
    "BggqhkjOPQQDAgNHADBEAiAeCDpkbbMOf5007SJkqKgRDvkhWSNWeEgLJth1brM3\n"
    "7wIgQ0NcxzDO9p6Ml8rvi2XrBWXZ6EmjCQ1drA7RXFeb9fY=\n"
    "-----END CERTIFICATE-----\n"
    "-----BEGIN CERTIFICATE-----\n"
    "MIICyTCCAbGgAwIBAgIUH0GD2kXB6tzhaPSgncb5+Ll/rH4wDQYJKoZIhvcNAQEL\n"
    "BQAwEzERMA8GA1UEAwwIUm9vdCByc2EwIBcNMjYxMTIzMDI0NzM1WhgPMjA1NDA0\n"
    "MTEwMjQ3MzVaMBMxETAPBgNVBAMMCFJvb3QgcnNhMIIBIjANBgkqhkiG9w0BAQEF\n"
    "AAOCAQ8AMIIBCgKCAQEAs9A4ND07ZNC1Crc12EgVgMs+i8az597Xu1DFf+jOYBbG\n"
    "J9BtTywRjKuHH7wQOj+HUz192o+mLOW+Hzw7qCxCLS7aQEhQoET4mL6qqAZwjrH9\n"
    "517q/3hlSN/1y/Ap41nJ2PAD+sXDEvValueYaQDrz/In6XlbOy+IhpzfsiJibKE2\n"
    "1f1JSX+iE90BoFlfkR/3+vYAKouZiy7qFyUPQztCaBb3gjtj2fD7b4a3vZg5u+Ox\n"
    "SdCK1YmbX0avIJSHfYn7ySHN1fEnXvZV4FJSZbRSD3dSVRnQvIXcljJM3a87p2Gp\n"
    "3cLmg7Za+6FrNveMjQm1TQFHTfvGzzEn81jd17FJmwIDAQABoxMwETAPBgNVHRMB\n"
    "Af8EBTADAQH/MA0GCSqGSIb3DQEBCwUAA4IBAQB+fhw2YZqcUpyLZx85zmhihsk3\n"
    "FYFECyPoEF+Q+KizvEAe7GrSBv5Hl+ZdduOq15HQbpkWIGAcyIkKLUXlbob37D/U\n"
    "sWvZrrJRlBFNXuR5mLwxGM334ORO2eFublljLHIBXjJTjERWcHE4vPwb+fjPB5Ge\n"
    "KZBDeZzC7R8HuhtWjjN8PlA4DWfbnq5NAonHAI6kDPQQIrR7HN03xzEbaX+Vty6q\n"
    "o/0Kb/lHFKL34qCtLKtS3EzDD3GDxwrgMy/vJXtLKV34AKT1DEsFrsUgDsmeKufa\n"
    "N2LRrOWxgMALGjNkWwCJjCLaXOHLgYQihtW+Xm6A8iumDrFvHJ4L3nsbWUYy\n"
    "-----END CERTIFICATE-----\n";

static const char fixed_client_identity[] =
    "-----BEGIN CERTIFICATE-----\n"
    "MIIBXzCCAQSgAwIBAgIUaKznMmBlB+HWMriMM/S7/bbxyycwCgYIKoZIzj0EAwIw\n"
    "FTETMBEGA1UEAwwKUm9vdCBlY2RzYTAgFw0yNjExMjMwMjQ3MzVaGA8yMDU0MDQx\n"
    "MTAyNDczNVowFjEUMBIGA1UEAwwLY2xpZW50LnRlc3QwWTATBgcqhkjOPQIBBggq\n"
    "hkjOPQMBBwNCAASddD1Ye4/PviqZets3T5+e+dmIKVAgRoB6E1U3qQmL2Cg4jN4x\n"
    "Ni5Ueg+YaHfGDWUt+kx9RWECUDTZ0/NSUKSjoy8wLTAWBgNVHREEDzANggtjbGll\n"
    "bnQudGVzdDATBgNVHSUEDDAKBggrBgEFBQcDATAKBggqhkjOPQQDAgNJADBGAiEA\n"
    "kyTJaJQfGDYv63mHDIT9VvUBCxZcWFFJFqY6iIWLv6oCIQCvJYZjZiQoEYHcp0Uv\n"
    "zyVYPyS738AjsZXLUqiGCUBwHA==\n"
    "-----END CERTIFICATE-----\n"
    "-----BEGIN PRIVATE KEY-----\n"
    "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg7KgQXsA30aiYwo5e\n"
    "keILoag8Xd/2P9sN1arGxN0e2AWhRANCAASddD1Ye4/PviqZets3T5+e+dmIKVAg\n"
    "RoB6E1U3qQmL2Cg4jN4xNi5Ueg+YaHfGDWUt+kx9RWECUDTZ0/NSUKSj\n"
    "-----END PRIVATE KEY-----\n";

#endif
