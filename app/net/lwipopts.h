/*
 * lwipopts.h - lwIP without an operating system, IPv4 only, a TCP client's share of everything.
 *
 * All of lwIP's memory is static: it stands for the vendor SDK's share of DRAM (ld/esp8266.ld).
 */
#ifndef LWIPOPTS_H
#define LWIPOPTS_H

/* One loop, raw callbacks. */
#define NO_SYS 1
#define SYS_LIGHTWEIGHT_PROT 0
#define LWIP_NETCONN 0
#define LWIP_SOCKET 0
#define LWIP_STATS 0

/* Protocols. */
#define LWIP_IPV4 1
#define LWIP_IPV6 0
#define LWIP_ARP 1
#define LWIP_ICMP 1
#define LWIP_RAW 0
#define LWIP_UDP 1
#define LWIP_TCP 1
#define LWIP_DHCP 1
#define DHCP_DOES_ARP_CHECK 0
#define LWIP_DNS 1
#define DNS_TABLE_SIZE 8
#define DNS_MAX_NAME_LENGTH 256
#define DNS_LOCAL_HOSTLIST 1
#define DNS_LOCAL_HOSTLIST_IS_DYNAMIC 1
#define IP_REASSEMBLY 0
#define IP_FRAG 0

/* TCP: one full window is four segments. */
#define TCP_MSS 1460
#define TCP_WND (4 * TCP_MSS)
#define TCP_SND_BUF (2 * TCP_MSS)
#define TCP_SND_QUEUELEN 8
#define TCP_SYNMAXRTX 4
#define TCP_MAXRTX 8
#define TCP_QUEUE_OOSEQ 0 /* a lost segment costs a retransmission, not four buffers */
#define LWIP_WND_SCALE 0

/* Memory, all static. */
#define MEM_ALIGNMENT 4
#define MEM_SIZE 6144
#define MEMP_NUM_TCP_PCB 8
#define MEMP_NUM_TCP_PCB_LISTEN 1
#define MEMP_NUM_TCP_SEG 16
#define MEMP_NUM_UDP_PCB 5 /* DHCP, SNTP, and three for DNS */
#define MEMP_NUM_PBUF 8
#define MEMP_NUM_LOCALHOSTLIST 16
#define MEMP_NUM_ARP_QUEUE 4
#define PBUF_POOL_SIZE 8
#define PBUF_POOL_BUFSIZE 1536

#endif
