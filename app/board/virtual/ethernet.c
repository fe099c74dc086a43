/*
 * ethernet.c - the emulator's OpenCores 10/100 MAC as a lwIP network interface.
 *
 * Polled: the receive interrupt only ends board_idle(). Register and bit names are those of the
 * OpenCores Ethernet IP core specification. The frame buffers lie outside the chip's memory.
 */
#include <string.h>

#include <lwip/dhcp.h>
#include <lwip/dns.h>
#include <lwip/etharp.h>
#include <lwip/init.h>
#include <lwip/netif.h>
#include <lwip/snmp.h>

#include "board.h"
#include "lx106.h"
#include "options.h"

#define MAC_BASE 0x9d030000u
#define MAC_REG(offset) (*(volatile uint32_t *)(MAC_BASE + (offset)))
#define MODER MAC_REG(0x00)
#define INT_SOURCE MAC_REG(0x04)
#define INT_MASK MAC_REG(0x08)
#define TX_BD_NUM MAC_REG(0x20)
#define MAC_ADDR0 MAC_REG(0x40)
#define MAC_ADDR1 MAC_REG(0x44)

#define MODER_RXEN 0x00000001u
#define MODER_TXEN 0x00000002u
#define MODER_FULLD 0x00000400u
#define MODER_CRCEN 0x00002000u
#define MODER_PAD 0x00008000u
#define INT_RXB 0x00000004u

#define BD_READY 0x8000u /* transmit: the MAC owns it; receive: empty */
#define BD_INTERRUPT 0x4000u
#define BD_WRAP 0x2000u
#define BD_PAD 0x1000u
#define BD_CRC 0x0800u
#define BD_LENGTH(bd) ((bd)->control >> 16)

#define FRAME_SIZE 1536u
#define FRAME_CRC 4u
#define TX_COUNT 4u
#define RX_COUNT 16u

struct descriptor {
    volatile uint32_t control; /* length in the upper half, flags in the lower */
    volatile uint32_t address;
};

static struct descriptor *const tx_ring = (struct descriptor *)(MAC_BASE + 0x400);
static struct descriptor *const rx_ring = (struct descriptor *)(MAC_BASE + 0x400) + TX_COUNT;

static LX106_EMULATOR_ONLY uint8_t tx_frames[TX_COUNT][FRAME_SIZE];
static LX106_EMULATOR_ONLY uint8_t rx_frames[RX_COUNT][FRAME_SIZE];

static struct netif interface;
static unsigned tx_next, rx_next;

static void start_mac(const uint8_t *address)
{
    MODER = 0;
    INT_SOURCE = ~0u;
    MAC_ADDR0 = (uint32_t)address[2] << 24 | (uint32_t)address[3] << 16 |
                (uint32_t)address[4] << 8 | address[5];
    MAC_ADDR1 = (uint32_t)address[0] << 8 | address[1];
    TX_BD_NUM = TX_COUNT;
    for (unsigned i = 0; i < TX_COUNT; i++) {
        tx_ring[i].address = (uint32_t)tx_frames[i];
        tx_ring[i].control = i == TX_COUNT - 1 ? BD_WRAP : 0;
    }
    for (unsigned i = 0; i < RX_COUNT; i++) {
        rx_ring[i].address = (uint32_t)rx_frames[i];
        rx_ring[i].control = BD_READY | BD_INTERRUPT | (i == RX_COUNT - 1 ? BD_WRAP : 0);
    }
    INT_MASK = INT_RXB;
    MODER = MODER_RXEN | MODER_TXEN | MODER_FULLD | MODER_CRCEN | MODER_PAD;
}

static err_t send_frame(struct netif *netif, struct pbuf *frame)
{
    struct descriptor *bd = &tx_ring[tx_next];

    (void)netif;
    if (frame->tot_len > FRAME_SIZE) {
        return ERR_BUF;
    }
    if (bd->control & BD_READY) {
        return ERR_MEM; /* the ring is full: TCP sends again */
    }
    pbuf_copy_partial(frame, tx_frames[tx_next], frame->tot_len, 0);
    bd->control =
        (uint32_t)frame->tot_len << 16 | (bd->control & BD_WRAP) | BD_READY | BD_PAD | BD_CRC;
    tx_next = (tx_next + 1) % TX_COUNT;
    return ERR_OK;
}

static err_t init_interface(struct netif *netif)
{
    uint32_t id = board_chip_id();
    const uint8_t address[ETH_HWADDR_LEN] = {
        0x52, 0x54, 0x00, (uint8_t)(id >> 16), (uint8_t)(id >> 8), (uint8_t)id,
    };

    netif->name[0] = 'e';
    netif->name[1] = 'n';
    netif->mtu = 1500;
    netif->hwaddr_len = ETH_HWADDR_LEN;
    memcpy(netif->hwaddr, address, ETH_HWADDR_LEN);
    netif->flags =
        NETIF_FLAG_BROADCAST | NETIF_FLAG_ETHARP | NETIF_FLAG_ETHERNET | NETIF_FLAG_LINK_UP;
    netif->output = etharp_output;
    netif->linkoutput = send_frame;
    tx_next = rx_next = 0;
    start_mac(address);
    return ERR_OK;
}

/* `host=NAME:ADDRESS` options become entries of lwIP's local host list. */
static void add_hosts(void)
{
    char name[DNS_MAX_NAME_LENGTH];
    ip_addr_t address;

    for (const char *host = options_text("host"); host != NULL; host = options_next("host", host)) {
        const char *colon = strrchr(host, ':');
        size_t length = colon == NULL ? 0 : (size_t)(colon - host);
        if (length == 0 || length >= sizeof name || !ipaddr_aton(colon + 1, &address)) {
            continue; /* the command line was checked before the board was started */
        }
        memcpy(name, host, length);
        name[length] = '\0';
        dns_local_addhost(name, &address);
    }
}

void board_network_start(void)
{
    lwip_init();
    netif_add_noaddr(&interface, NULL, init_interface, netif_input);
    netif_set_default(&interface);
    netif_set_up(&interface);
    add_hosts();
    dhcp_start(&interface);
}

bool board_network_ready(void)
{
    return dhcp_supplied_address(&interface) != 0;
}

static void receive_frame(const uint8_t *data, uint32_t length)
{
    if (length <= FRAME_CRC || length > FRAME_SIZE) {
        return;
    }
    length -= FRAME_CRC;
    struct pbuf *frame = pbuf_alloc(PBUF_RAW, (u16_t)length, PBUF_POOL);
    if (frame == NULL) {
        return; /* as a full receiver on the chip: TCP's peer sends again */
    }
    pbuf_take(frame, data, (u16_t)length);
    if (interface.input(frame, &interface) != ERR_OK) {
        pbuf_free(frame);
    }
}

void board_network_poll(void)
{
    INT_SOURCE = INT_RXB;
    for (unsigned i = 0; i < RX_COUNT; i++) {
        struct descriptor *bd = &rx_ring[rx_next];
        if (bd->control & BD_READY) {
            return;
        }
        receive_frame(rx_frames[rx_next], BD_LENGTH(bd));
        bd->control = BD_READY | BD_INTERRUPT | (bd->control & BD_WRAP);
        rx_next = (rx_next + 1) % RX_COUNT;
    }
}
