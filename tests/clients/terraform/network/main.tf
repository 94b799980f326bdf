# What the groups are in.
variable "cidr" {
  type = string
}

resource "aws_vpc" "main" {
  cidr_block                       = var.cidr
  assign_generated_ipv6_cidr_block = true
  enable_dns_hostnames             = true
}

output "vpc_id" {
  value = aws_vpc.main.id
}
