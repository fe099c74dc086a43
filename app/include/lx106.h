/*
 * lx106.h - where things are on the ESP8266, and the section attributes for them.
 *
 * Bases and sizes follow the chip's memory map; the linker scripts in ld/ and memmap.py say the
 * same and a test compares the three. No functions in here.
 */
#ifndef LX106_H
#define LX106_H

#define LX106_DRAM_BASE 0x3ffe8000u     /* data RAM for programs */
#define LX106_DRAM_SIZE 0x14000u        /* 80 KiB, the vendor SDK's share included */
#define LX106_ROM_DATA_BASE 0x3fffc000u /* the boot ROM's data, and the stack above it */
#define LX106_STACK_BASE 0x3fffe000u
#define LX106_STACK_TOP 0x40000000u
#define LX106_IRAM_BASE 0x40100000u
#define LX106_IRAM_SIZE 0x8000u /* 32 KiB */

#define LX106_FLASH_WINDOW 0x40200000u /* flash offset 0 as the CPU sees it */
#define LX106_FLASH_WINDOW_SIZE 0x100000u
#define LX106_FLASH_SECTOR 4096u
#define LX106_SDK_SECTORS 5u         /* the last of the flash: the SDK's parameters */
#define LX106_CREDENTIALS_SECTORS 4u /* below them: CA, CA, client, client; see tls_store.c */

#define LX106_RESET_VECTOR 0x40000080u /* the boot ROM's entry after reset */

/* EXCCAUSE (Xtensa ISA, table of exception causes). */
#define LX106_CAUSE_LEVEL1_INTERRUPT 4

/* Memory the chip does not have: only the emulator's devices may need it. */
#define LX106_EMULATOR_ONLY __attribute__((section(".emu.bss")))

#endif
