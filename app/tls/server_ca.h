/*
 * server_ca.h - the CA certificates built into the firmware (generated from server-ca.crt).
 */
#ifndef SERVER_CA_H
#define SERVER_CA_H

#include <stddef.h>

/* Records as in tls_record.h. Length 0: none is built in. */
extern const unsigned char server_ca_records[];
extern const size_t server_ca_length;

#endif
